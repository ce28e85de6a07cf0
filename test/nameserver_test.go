package test

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	wire "github.com/miekg/dns"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// naming is what a DNS server makes of a name.
type naming struct {
	a, aaaa []string
	ttl     int
	alias   string // a CNAME to another name, which may be the same
	fault   fault
}

// fault is what goes wrong instead of an answer.
type fault string

const (
	noSuchName fault = "NXDOMAIN"
	servFail   fault = "SERVFAIL"
	refuses    fault = "REFUSED"
	silence    fault = "silence"
	garbage    fault = "garbage"
)

// nameserver is a DNS server on a host, by UDP and TCP.
type nameserver struct {
	t testing.TB

	mu    sync.Mutex
	names map[string]naming
	asked map[string]int
}

// newNameserver runs a server at ip:53 until the test ends. Names that it does
// not know do not exist.
func newNameserver(w *world, h *testnet.Host, ip string) *nameserver {
	w.Helper()
	n := &nameserver{t: w.T, names: make(map[string]naming), asked: make(map[string]int)}
	var packets net.PacketConn
	var err error
	h.Do(func() { packets, err = net.ListenPacket("udp", ip+":53") })
	if err != nil {
		w.Fatal(err)
	}
	n.run(&wire.Server{PacketConn: packets, Handler: n})
	n.run(&wire.Server{Listener: h.Listen("tcp", ip+":53"), Handler: n})
	return n
}

func (n *nameserver) run(server *wire.Server) {
	started, ended := make(chan struct{}), make(chan error, 1)
	server.NotifyStartedFunc = func() { close(started) }
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	n.t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-ended); err != nil {
			n.t.Errorf("end the DNS server: %v", err)
		}
	})
}

// set says what names stand for from now on.
func (n *nameserver) set(what naming, names ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range names {
		n.names[name] = what
	}
}

// questions is how often a name was asked for.
func (n *nameserver) questions(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[name]
}

// follow goes from alias to alias, as a recursive server does, and not for ever.
func (n *nameserver) follow(name string) (aliases []wire.RR, end string, what naming, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[name]++
	const longest = 8
	for range longest {
		if what, known = n.names[name]; what.alias == "" {
			break
		}
		aliases = append(aliases, &wire.CNAME{Hdr: what.header(name, wire.TypeCNAME), Target: what.alias})
		name = what.alias
	}
	return aliases, name, what, known
}

// ServeDNS answers, or does what is wrong with the name.
func (n *nameserver) ServeDNS(w wire.ResponseWriter, q *wire.Msg) {
	aliases, name, what, known := n.follow(q.Question[0].Name)
	m := new(wire.Msg).SetReply(q)
	m.RecursionAvailable, m.Compress = true, true
	switch {
	case what.fault == silence:
		return
	case what.fault == garbage:
		// Who is gone by now has no use for it.
		_, _ = w.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		return
	case !known:
		m.Answer, m.Rcode = aliases, wire.RcodeNameError
	case what.fault != "":
		m.Rcode = wire.StringToRcode[string(what.fault)]
	default:
		m.Answer = append(aliases, what.records(name, q.Question[0].Qtype)...)
	}
	if w.LocalAddr().Network() == "udp" {
		m.Truncate(wire.DefaultMsgSize)
	}
	if err := w.WriteMsg(m); err != nil {
		n.t.Logf("answer %s: %v", name, err) // whoever asked has ended
	}
}

func (what naming) header(name string, kind uint16) wire.RR_Header {
	return wire.RR_Header{Name: name, Rrtype: kind, Class: wire.ClassINET, Ttl: uint32(what.ttl)}
}

func (what naming) records(name string, kind uint16) (list []wire.RR) {
	switch kind {
	case wire.TypeA:
		for _, ip := range what.a {
			list = append(list, &wire.A{Hdr: what.header(name, kind), A: net.ParseIP(ip)})
		}
	case wire.TypeAAAA:
		for _, ip := range what.aaaa {
			list = append(list, &wire.AAAA{Hdr: what.header(name, kind), AAAA: net.ParseIP(ip)})
		}
	}
	return list
}

// addresses are count ones from a pattern with two numbers.
func addresses(pattern string, count int) []string {
	list := make([]string, count)
	for i := range list {
		list[i] = fmt.Sprintf(pattern, i/250, i%250+1)
	}
	return list
}

// resolving starts sluice with a resolv.conf of its own, and with so many names:
// each has two sockets at a time, for A and AAAA.
func resolving(w *world, lines string, names int) launch {
	w.Helper()
	file := w.file("resolv.conf", lines)
	return launch{checks: 2 * names,
		before: []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, file}}
}

// quickResolving are options of resolv.conf that have silence end soon.
const quickResolving = "options timeout:5 attempts:1\n"
