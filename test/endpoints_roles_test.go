package test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	wire "github.com/miekg/dns"
)

const (
	// roleHealthy answers HTTP health checks on all addresses of this host.
	roleHealthy = "healthy"

	// roleNames is a DNS server that moves all endpoints with each answer.
	roleNames = "names"
)

// halves are the names that together stand for manyEndpoints: one answer with
// all of them would be longer than DNS allows.
func halves() []string { return []string{"a.flapping.test.", "b.flapping.test."} }

// manyEndpoints is how many endpoints the figures of clusters are about.
const manyEndpoints = 5000

// endpointAt is the address of the i-th endpoint, on this host.
func endpointAt(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 64, byte(i >> 8), byte(i)})
}

func beHealthy() int {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(l.Addr())
	for {
		conn, err := l.Accept()
		if err != nil {
			return 1
		}
		go func() {
			defer conn.Close()
			lines := bufio.NewReaderSize(conn, 512)
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				if line == "\r\n" {
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
				}
			}
		}()
	}
}

// names gives each name one of two sets of addresses, by turns.
type names struct {
	mu    sync.Mutex
	turns map[string]int
}

func beNames() int {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	packets, err := net.ListenPacket("udp4", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(l.Addr())
	n := &names{turns: make(map[string]int)}
	go (&wire.Server{PacketConn: packets, Handler: wire.HandlerFunc(cutOff)}).ActivateAndServe()
	fmt.Println((&wire.Server{Listener: l, Handler: n}).ActivateAndServe())
	return 1
}

// cutOff has the query asked by TCP.
func cutOff(w wire.ResponseWriter, query *wire.Msg) {
	var reply wire.Msg
	reply.SetReply(query)
	reply.Truncated = true
	w.WriteMsg(&reply)
}

// ServeDNS answers for endpoints 0 to 4,999, then for 5,000 to 9,999.
func (n *names) ServeDNS(w wire.ResponseWriter, query *wire.Msg) {
	var reply wire.Msg
	reply.SetReply(query)
	reply.Compress = true
	name := strings.ToLower(query.Question[0].Name)
	for half, known := range halves() {
		if name != known || query.Question[0].Qtype != wire.TypeA {
			continue
		}
		n.mu.Lock()
		first := n.turns[name]%2*manyEndpoints + half*manyEndpoints/2
		n.turns[name]++
		n.mu.Unlock()
		for i := range manyEndpoints / 2 {
			addr := endpointAt(first + i).As4()
			reply.Answer = append(reply.Answer, &wire.A{Hdr: wire.RR_Header{Name: name, Rrtype: wire.TypeA, Class: wire.ClassINET}, A: addr[:]})
		}
	}
	w.WriteMsg(&reply)
}
