package proxy

import (
	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// introduce sends the PROXY header, where the cluster has one, on the upstream
// connection that was just established: before any byte of the client's, and
// also when the client sends none. An error means that this attempt has failed;
// the next endpoint gets a header of its own.
//
// The send buffer of a fresh socket is empty and has room for thousands of
// bytes, so nothing is kept for a second send. Should the kernel take less all
// the same, which is for want of memory, the attempt must fail: an endpoint that
// got half a header would take the client's bytes for the rest.
//
// As in Envoy the header counts as bytes sent to the upstream, and as nothing
// that came from the client.
func (c *Connection) introduce() error {
	var space [cluster.MaxHeader]byte
	header := c.cluster().AppendHeader(space[:0], c.source, c.destination)
	if len(header) == 0 {
		return nil
	}
	n, errno := sock.Write(c.fds[relay.Upstream], header)
	if errno == sock.EAGAIN || errno == 0 && n < len(header) {
		errno = sock.ENOBUFS
	}
	if errno != 0 {
		return &sock.Error{Op: "send a PROXY header to", Addr: c.dialling.endpoint.Address, Errno: errno}
	}
	c.shard().Add(c.cluster().Stats.TxBytes, uint64(n))
	return nil
}
