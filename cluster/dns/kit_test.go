package dns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	wire "github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone has records as in zone files, by "TYPE name.", or one of the words of
// behave.
type zone map[string][]string

// server is a DNS server on loopback, by UDP and TCP, that remembers what it
// was asked.
type server struct {
	t    *testing.T
	addr netip.AddrPort

	mu    sync.Mutex
	zone  zone
	asked []string // "udp A name."
}

func serve(t *testing.T, z zone) *server {
	t.Helper()
	s := &server{t: t, zone: z}
	packets, stream := listenBoth(t)
	s.addr = packets.LocalAddr().(*net.UDPAddr).AddrPort()
	s.run(&wire.Server{PacketConn: packets, Handler: s})
	s.run(&wire.Server{Listener: stream, Handler: s})
	return s
}

// listenBoth finds a port that is free for both protocols.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		stream, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", stream.Addr().String())
		if err == nil {
			return packets, stream
		}
		stream.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

func (s *server) run(w *wire.Server) {
	started, ended := make(chan struct{}), make(chan error, 1)
	w.NotifyStartedFunc = func() { close(started) }
	go func() { ended <- w.ActivateAndServe() }()
	<-started
	s.t.Cleanup(func() {
		if err := errors.Join(w.Shutdown(), <-ended); err != nil {
			s.t.Error(err)
		}
	})
}

func (s *server) set(z zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone = z
}

// log is what was asked since the last call.
func (s *server) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.asked
	s.asked = nil
	return log
}

// ServeDNS answers as the zone says.
func (s *server) ServeDNS(w wire.ResponseWriter, q *wire.Msg) {
	network := w.LocalAddr().Network()
	key := wire.TypeToString[q.Question[0].Qtype] + " " + q.Question[0].Name
	s.mu.Lock()
	s.asked = append(s.asked, network+" "+key)
	records, known := s.zone[key]
	if !known {
		records, known = s.zone["ANY "+q.Question[0].Name]
	}
	s.mu.Unlock()
	m := new(wire.Msg).SetReply(q)
	m.RecursionAvailable, m.Compress = true, true
	if !known {
		m.Rcode = wire.RcodeNameError
	}
	for _, text := range records {
		if !behave(m, q, text, network) {
			return
		}
	}
	if err := w.WriteMsg(m); err != nil {
		s.t.Errorf("answer %s: %v", key, err)
	}
}

// behave puts a record into an answer, or does what a word says. false means
// that there is no answer.
func behave(m, q *wire.Msg, text, network string) bool {
	switch text {
	case "silent":
		return false
	case "truncated":
		if m.Truncated = network == "udp"; m.Truncated {
			m.Answer = nil
		}
	case "always truncated":
		m.Truncated = true
	case "no edns":
		if q.IsEdns0() != nil {
			m.Rcode, m.Question = wire.RcodeFormatError, nil
		}
	case "referral":
		m.RecursionAvailable = false
		m.Ns = []wire.RR{record("example. 60 IN NS ns.example.")}
	case "other question":
		m.Question[0].Name = "other.example."
	case "other class":
		m.Question[0].Qclass = wire.ClassCHAOS
	case "other id":
		m.Id++
	case "no question":
		m.Question = nil
	default:
		if rcode, ok := wire.StringToRcode[text]; ok {
			m.Rcode = rcode
			return true
		}
		m.Answer = append(m.Answer, record(text))
	}
	return true
}

func record(text string) wire.RR {
	rr, err := wire.NewRR(text)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
	return rr
}

// blurter sends messages to everyone who sends one by UDP.
func blurter(t *testing.T, messages func(query []byte) [][]byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			for _, m := range messages(buffer[:n]) {
				conn.WriteTo(m, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func write(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// rig is a Resolver with files of its own.
type rig struct {
	*Resolver
	conf, hosts string
}

// quick is for a server that is not meant to answer.
const quick = "options timeout:1"

// newRig writes options as resolv.conf; every answer has to come within half a
// minute unless they say otherwise.
func newRig(t *testing.T, resolvers []netip.AddrPort, conf ...string) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{conf: filepath.Join(dir, "resolv.conf"), hosts: filepath.Join(dir, "hosts")}
	write(t, r.conf, append([]string{"options timeout:30 attempts:1"}, conf...)...)
	var err error
	if r.Resolver, err = NewResolver(Options{Resolvers: resolvers, ResolvConf: r.conf, Hosts: r.hosts}); err != nil {
		t.Fatal(err)
	}
	return r
}

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}
