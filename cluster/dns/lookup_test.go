package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

type lookupCase struct {
	name   string
	zone   zone
	ask    string // a.example. if empty
	family config.LookupFamily
	want   []string
	ttl    time.Duration
	kind   Kind // of the failure, where there are no addresses
}

func TestLookup(t *testing.T) {
	t.Parallel()
	const a4, a6 = "a.example. 60 IN A 10.0.0.1", "a.example. 30 IN AAAA fd00::1"
	both := zone{"A a.example.": {a4}, "AAAA a.example.": {a6}}
	only4 := zone{"A a.example.": {a4}, "AAAA a.example.": {}}
	only6 := zone{"A a.example.": {}, "AAAA a.example.": {a6}}
	failing6 := zone{"A a.example.": {a4}, "AAAA a.example.": {"SERVFAIL"}}
	chain := zone{"A a.example.": {"c.example. 60 IN A 10.0.0.3", "b.example. 20 IN CNAME C.example.", "A.example. 40 IN CNAME b.example.", "x.example. 1 IN A 10.9.9.9"}}
	cases := []lookupCase{
		{name: "auto prefers IPv6", zone: both, family: config.LookupAuto, want: []string{"fd00::1"}, ttl: 30 * time.Second},
		{name: "no family is auto", zone: both, want: []string{"fd00::1"}, ttl: 30 * time.Second},
		{name: "auto without IPv6", zone: only4, family: config.LookupAuto, want: []string{"10.0.0.1"}, ttl: time.Minute},
		{name: "auto where IPv6 fails", zone: failing6, family: config.LookupAuto, want: []string{"10.0.0.1"}, ttl: time.Minute},
		{name: "v4_preferred", zone: both, family: config.LookupV4Preferred, want: []string{"10.0.0.1"}, ttl: time.Minute},
		{name: "v4_preferred without IPv4", zone: only6, family: config.LookupV4Preferred, want: []string{"fd00::1"}, ttl: 30 * time.Second},
		{name: "v4_only", zone: both, family: config.LookupV4Only, want: []string{"10.0.0.1"}, ttl: time.Minute},
		{name: "v4_only without IPv4", zone: only6, family: config.LookupV4Only, kind: KindEmpty},
		{name: "v6_only", zone: both, family: config.LookupV6Only, want: []string{"fd00::1"}, ttl: 30 * time.Second},
		{name: "all", zone: both, family: config.LookupAll, want: []string{"10.0.0.1", "fd00::1"}, ttl: 30 * time.Second},
		{name: "all where IPv4 ends first", zone: zone{"A a.example.": {"a.example. 10 IN A 10.0.0.1"}, "AAAA a.example.": {a6}}, family: config.LookupAll, want: []string{"10.0.0.1", "fd00::1"}, ttl: 10 * time.Second},
		{name: "all where one fails", zone: failing6, family: config.LookupAll, want: []string{"10.0.0.1"}, ttl: time.Minute},
		{name: "NXDOMAIN", kind: KindNotFound},
		{name: "no records", zone: zone{"ANY a.example.": {}}, kind: KindEmpty},
		{name: "SERVFAIL", zone: zone{"ANY a.example.": {"SERVFAIL"}}, kind: KindServer},
		{name: "SERVFAIL with an address", zone: zone{"ANY a.example.": {"SERVFAIL", a4}}, family: config.LookupV4Only, kind: KindServer},
		{name: "NXDOMAIN with an address", zone: zone{"ANY a.example.": {"NXDOMAIN", a4}}, family: config.LookupV4Only, kind: KindNotFound},
		{name: "REFUSED", zone: zone{"ANY a.example.": {"REFUSED"}}, kind: KindServer},
		{name: "REFUSED without the question", zone: zone{"ANY a.example.": {"REFUSED", "no question"}}, kind: KindServer},
		{name: "referral", zone: zone{"ANY a.example.": {"referral"}}, kind: KindServer},
		{name: "no server knows more than nothing", zone: zone{"A a.example.": {"SERVFAIL"}, "AAAA a.example.": {}}, kind: KindServer},
		{name: "silence", zone: zone{"ANY a.example.": {"silent"}}, kind: KindTimeout},
		{name: "silence of one family", zone: zone{"A a.example.": {a4}, "AAAA a.example.": {"silent"}}, want: []string{"10.0.0.1"}, ttl: time.Minute},
		{name: "answer to another question", zone: zone{"ANY a.example.": {"other question", a4}}, family: config.LookupV4Only, kind: KindTimeout},
		{name: "answer of another class", zone: zone{"ANY a.example.": {"other class", a4}}, family: config.LookupV4Only, kind: KindTimeout},
		{name: "answer to another id", zone: zone{"ANY a.example.": {"other id", a4}}, family: config.LookupV4Only, kind: KindTimeout},
		{name: "answer without question", zone: zone{"ANY a.example.": {"no question", a4}}, family: config.LookupV4Only, kind: KindTimeout},
		{name: "truncated", zone: zone{"A a.example.": {a4, "truncated"}}, family: config.LookupV4Only, want: []string{"10.0.0.1"}, ttl: time.Minute},
		{name: "truncated by TCP too", zone: zone{"A a.example.": {a4, "always truncated"}}, family: config.LookupV4Only, kind: KindServer},
		{name: "server without EDNS", zone: zone{"A a.example.": {a4, "no edns"}}, family: config.LookupV4Only, want: []string{"10.0.0.1"}, ttl: time.Minute},
		{name: "CNAME chain in any order", zone: chain, family: config.LookupV4Only, want: []string{"10.0.0.3"}, ttl: 20 * time.Second},
		{name: "CNAME to nothing", zone: zone{"A a.example.": {"a.example. 60 IN CNAME b.example."}}, family: config.LookupV4Only, kind: KindEmpty},
		{name: "CNAME to itself", zone: zone{"A a.example.": {"a.example. 60 IN CNAME a.example.", a4}}, family: config.LookupV4Only, kind: KindServer},
		{name: "CNAME loop", zone: zone{"A a.example.": {"a.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME a.example."}}, family: config.LookupV4Only, kind: KindServer},
		{name: "16 CNAME records", zone: zone{"A a.example.": aliases(16)}, family: config.LookupV4Only, want: []string{"10.0.0.16"}, ttl: time.Minute},
		{name: "17 CNAME records", zone: zone{"A a.example.": aliases(17)}, family: config.LookupV4Only, kind: KindServer},
		{name: "addresses nobody asked for", zone: zone{"A a.example.": {"b.example. 60 IN A 10.0.0.9"}}, family: config.LookupV4Only, kind: KindEmpty},
		{name: "addresses of another class", zone: zone{"A a.example.": {"a.example. 60 CH A 10.0.0.9", a4}}, family: config.LookupV4Only, want: []string{"10.0.0.1"}, ttl: time.Minute},
		{name: "TTL 0", zone: zone{"A a.example.": {"a.example. 0 IN A 10.0.0.1"}}, family: config.LookupV4Only, want: []string{"10.0.0.1"}},
		{name: "TTL below 0", zone: zone{"A a.example.": {"a.example. 4294967295 IN A 10.0.0.1"}}, family: config.LookupV4Only, want: []string{"10.0.0.1"}},
		{name: "TTL of years", zone: zone{"A a.example.": {"a.example. 2147483647 IN A 10.0.0.1"}}, family: config.LookupV4Only, want: []string{"10.0.0.1"}, ttl: maxTTL},
		{name: "sorted, without duplicates", zone: zone{"A a.example.": {"a.example. 60 IN A 10.0.0.2", a4, a4}}, family: config.LookupV4Only, want: []string{"10.0.0.1", "10.0.0.2"}, ttl: time.Minute},
		{name: "mapped to IPv6", zone: zone{"AAAA a.example.": {"a.example. 60 IN AAAA ::ffff:10.0.0.1"}}, family: config.LookupV6Only, want: []string{"10.0.0.1"}, ttl: time.Minute},
		{name: "nowhere to connect to", zone: zone{"A a.example.": {"a.example. 60 IN A 0.0.0.0", "a.example. 60 IN A 224.0.0.1", "a.example. 60 IN A 255.255.255.255"}}, family: config.LookupV4Only, kind: KindEmpty},
		{name: "IPv4 literal", ask: "10.1.2.3", family: config.LookupV6Only, want: []string{"10.1.2.3"}},
		{name: "IPv6 literal", ask: "fd00::7", family: config.LookupAll, want: []string{"fd00::7"}},
		{name: "literal with zone", ask: "fe80::1%eth0", family: config.LookupV4Only, want: []string{"fe80::1%eth0"}},
		{name: "mapped literal", ask: "::ffff:10.1.2.3", want: []string{"10.1.2.3"}},
		{name: "localhost", ask: "LocalHost", family: config.LookupAll, want: []string{"127.0.0.1", "::1"}},
		{name: "below localhost", ask: "x.localhost.", family: config.LookupV4Only, want: []string{"127.0.0.1"}},
		{name: "empty name", ask: ".", kind: KindName},
		{name: "empty label", ask: "a..example", kind: KindName},
		{name: "spaces", ask: "a b.example", kind: KindName},
		{name: "escapes", ask: `a\046example`, kind: KindName},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			checkLookup(t, c)
		})
	}
}

func checkLookup(t *testing.T, c lookupCase) {
	s := serve(t, c.zone)
	if c.ask == "" {
		c.ask = "a.example."
	}
	var conf []string
	if c.kind == KindTimeout || c.name == "silence of one family" {
		conf = []string{quick}
	}
	a, err := newRig(t, []netip.AddrPort{s.addr}, conf...).Lookup(t.Context(), c.ask, c.family)
	var failure *Failure
	errors.As(err, &failure)
	switch {
	case c.kind != "" && (failure == nil || failure.Kind != c.kind):
		t.Fatalf("%v, %v; want failure of kind %q", a, err, c.kind)
	case c.kind == "" && err != nil:
		t.Fatal(err)
	case !slices.Equal(a.Addrs, addrs(c.want...)):
		t.Errorf("addresses %v, want %v", a.Addrs, c.want)
	case a.TTL != c.ttl:
		t.Errorf("TTL %v, want %v", a.TTL, c.ttl)
	}
}

// aliases leads from a.example. over n CNAME records to an address.
func aliases(n int) []string {
	from, records := "a.example.", []string(nil)
	for i := range n {
		to := fmt.Sprintf("a%d.example.", i)
		records = append(records, fmt.Sprintf("%s 60 IN CNAME %s", from, to))
		from = to
	}
	return append(records, fmt.Sprintf("%s 60 IN A 10.0.0.%d", from, n))
}

func TestServersInOrder(t *testing.T) {
	t.Parallel()
	good := zone{"A a.example.": {"a.example. 60 IN A 10.0.0.1"}}
	for _, bad := range []string{"SERVFAIL", "REFUSED", "silent", "referral"} {
		t.Run(bad, func(t *testing.T) {
			t.Parallel()
			first, second := serve(t, zone{"ANY a.example.": {bad}}), serve(t, good)
			r := newRig(t, []netip.AddrPort{first.addr, second.addr}, quick)
			a, err := r.Lookup(t.Context(), "a.example.", config.LookupV4Only)
			if err != nil || !slices.Equal(a.Addrs, addrs("10.0.0.1")) {
				t.Fatalf("%v, %v", a, err)
			}
			if n := len(first.log()); n != 1 {
				t.Errorf("the first server was asked %d times, want once", n)
			}
		})
	}
}

func TestNoAnswerIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := serve(t, zone{"ANY a.example.": {"SERVFAIL"}})
	r := newRig(t, []netip.AddrPort{s.addr}, "options attempts:3")
	if _, err := r.Lookup(t.Context(), "a.example.", config.LookupV4Only); err == nil {
		t.Fatal("no error")
	}
	if n := len(s.log()); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	z := zone{"A a.example.": {"a.example. 60 IN A 10.0.0.1"}}
	one, two := serve(t, z), serve(t, z)
	r := newRig(t, []netip.AddrPort{one.addr, two.addr}, "options rotate")
	for range 4 {
		if _, err := r.Lookup(t.Context(), "a.example.", config.LookupV4Only); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := len(one.log()), len(two.log()); a != 2 || b != 2 {
		t.Errorf("the servers were asked %d and %d times, want 2 and 2", a, b)
	}
}

func TestUseTCP(t *testing.T) {
	t.Parallel()
	s := serve(t, zone{"A a.example.": {"a.example. 60 IN A 10.0.0.1"}})
	r := newRig(t, []netip.AddrPort{s.addr}, "options use-vc")
	if _, err := r.Lookup(t.Context(), "a.example.", config.LookupV4Only); err != nil {
		t.Fatal(err)
	}
	if log := s.log(); !slices.Equal(log, []string{"tcp A a.example."}) {
		t.Errorf("asked %v", log)
	}
}

// 4,000 A records are about the most that a message by TCP has room for.
func TestThousandsOfRecords(t *testing.T) {
	t.Parallel()
	z := zone{"A a.example.": {"truncated"}, "AAAA a.example.": {"truncated"}}
	for i := range 4000 {
		z["A a.example."] = append(z["A a.example."], fmt.Sprintf("a.example. 60 IN A 10.0.%d.%d", i>>8, i&255))
	}
	for i := range 2000 {
		z["AAAA a.example."] = append(z["AAAA a.example."], fmt.Sprintf("a.example. 60 IN AAAA fd00::%x", i+1))
	}
	s := serve(t, z)
	a, err := newRig(t, []netip.AddrPort{s.addr}).Lookup(t.Context(), "a.example.", config.LookupAll)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Addrs) != maxAddrs || a.Left != 1000 || !slices.IsSortedFunc(a.Addrs, netip.Addr.Compare) {
		t.Errorf("%d addresses, %d left out", len(a.Addrs), a.Left)
	}
}

func TestGarbageIsIgnored(t *testing.T) {
	t.Parallel()
	addr := blurter(t, func(raw []byte) [][]byte {
		q := new(wire.Msg)
		if err := q.Unpack(raw); err != nil {
			t.Error(err)
		}
		m := new(wire.Msg).SetReply(q)
		m.RecursionAvailable = true
		m.Answer = []wire.RR{record("a.example. 60 IN A 10.0.0.1")}
		good, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		spoofed := slices.Clone(good)
		spoofed[0] ^= 1
		return [][]byte{nil, raw[:1], raw[:11], raw, good[:len(good)-1], make([]byte, 2000), spoofed, good}
	})
	a, err := newRig(t, []netip.AddrPort{addr}).Lookup(t.Context(), "a.example.", config.LookupV4Only)
	if err != nil || !slices.Equal(a.Addrs, addrs("10.0.0.1")) {
		t.Fatalf("%v, %v", a, err)
	}
}

func TestGarbageIsBounded(t *testing.T) {
	t.Parallel()
	addr := blurter(t, func([]byte) [][]byte { return slices.Repeat([][]byte{{1, 2, 3}}, 10*maxIgnored) })
	_, err := newRig(t, []netip.AddrPort{addr}).Lookup(t.Context(), "a.example.", config.LookupV4Only)
	var failure *Failure
	if !errors.As(err, &failure) || failure.Kind != KindServer {
		t.Fatalf("%v, want a failure of kind %q", err, KindServer)
	}
}

// Where nothing listens, the kernel says so; nobody waits for a timeout.
func TestNothingListens(t *testing.T) {
	t.Parallel()
	packets, stream := listenBoth(t)
	stream.Close()
	packets.Close()
	addr := netip.MustParseAddrPort(packets.LocalAddr().String())
	_, err := newRig(t, []netip.AddrPort{addr}).Lookup(t.Context(), "a.example.", config.LookupV4Only)
	var failure *Failure
	if !errors.As(err, &failure) || failure.Kind != KindServer {
		t.Fatalf("%v, want a failure of kind %q", err, KindServer)
	}
}

func TestLookupEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := serve(t, zone{"ANY a.example.": {"silent"}})
	r := newRig(t, []netip.AddrPort{s.addr})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := r.Lookup(ctx, "a.example.", config.LookupAll)
		done <- err
	}()
	testnet.Eventually(t, time.Minute, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.asked) < 2 {
			return errors.New("not asked yet")
		}
		return nil
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

func TestLookupsAreBounded(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	full := make(chan struct{})
	var once sync.Once
	addr := blurter(t, func([]byte) [][]byte {
		n := running.Add(1)
		most.Store(max(most.Load(), n))
		if n == maxLookups {
			once.Do(func() { close(full) })
		}
		return nil
	})
	r := newRig(t, []netip.AddrPort{addr})
	ctx, cancel := context.WithCancel(t.Context())
	var lookups sync.WaitGroup
	for range 3 * maxLookups {
		lookups.Go(func() { r.Lookup(ctx, "a.example.", config.LookupV4Only) })
	}
	<-full
	cancel()
	lookups.Wait()
	if n := most.Load(); n != maxLookups {
		t.Errorf("%d lookups at once, want %d", n, maxLookups)
	}
}
