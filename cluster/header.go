package cluster

import (
	"net/netip"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/listener/inspect"
)

// MaxHeader is how long a header of AppendHeader or AppendProbeHeader can be.
const MaxHeader = 107 // of v1, section 2.1; v2 without TLVs has 52

// AppendHeader appends the PROXY header with which a connection to one of the
// endpoints begins: source is the client, destination where it wanted to go. It
// appends nothing where proxy_protocol is not set. TLVs that the client's own
// header had are not passed on; Envoy passes none either, unless it is told to.
func (c *Cluster) AppendHeader(dst []byte, source, destination netip.AddrPort) []byte {
	switch c.proxyProtocol {
	case config.ProxyProtocolV1:
		return inspect.AppendV1(dst, source, destination)
	case config.ProxyProtocolV2:
		return inspect.AppendV2(dst, source, destination)
	}
	return dst
}

// AppendProbeHeader is AppendHeader for a connection that no client asked for,
// such as a health check, from local to the endpoint at remote. It is LOCAL in
// v2. In v1 it has the connection's own addresses, and not UNKNOWN: some
// servers refuse that, and the specification (section 2.1) advises against it
// for health checks. Envoy does both in the same way
// (UpstreamProxyProtocolSocket, generateHeaderV1 and generateHeaderV2).
func (c *Cluster) AppendProbeHeader(dst []byte, local, remote netip.AddrPort) []byte {
	if c.proxyProtocol == config.ProxyProtocolV2 {
		return inspect.AppendV2(dst, netip.AddrPort{}, netip.AddrPort{})
	}
	return c.AppendHeader(dst, local, remote)
}
