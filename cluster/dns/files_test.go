package dns

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

type confCase struct {
	name string
	text string
	want resolvConf
}

func TestParseResolvConf(t *testing.T) {
	ports := func(texts ...string) []netip.AddrPort {
		var list []netip.AddrPort
		for _, text := range texts {
			list = append(list, netip.MustParseAddrPort(text))
		}
		return list
	}
	local := ports("127.0.0.1:53")
	cases := []confCase{
		{"empty", "", resolvConf{servers: local, ndots: 1, timeout: 5 * time.Second, attempts: 2}},
		{"Kubernetes", "search a.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
			resolvConf{servers: ports("10.96.0.10:53"), search: []string{"a.svc.cluster.local", "svc.cluster.local", "cluster.local"}, ndots: 5, timeout: 5 * time.Second, attempts: 2}},
		{"addresses of all kinds", "nameserver fe80::1%eth0\nnameserver [fd00::1]:5353\nnameserver 10.0.0.1:54 # x\nnameserver x\nnameserver\n#nameserver 10.0.0.2\n; nameserver 10.0.0.3",
			resolvConf{servers: ports("[fe80::1%eth0]:53", "[fd00::1]:5353", "10.0.0.1:54"), ndots: 1, timeout: 5 * time.Second, attempts: 2}},
		{"the last of domain and search counts", "search a b\ndomain c.", resolvConf{servers: local, search: []string{"c"}, ndots: 1, timeout: 5 * time.Second, attempts: 2}},
		{"search domains that are none", "search . a..b c", resolvConf{servers: local, search: []string{"c"}, ndots: 1, timeout: 5 * time.Second, attempts: 2}},
		{"bounds above", "options ndots:99 timeout:99 attempts:99 rotate use-vc unknown", resolvConf{servers: local, ndots: 15, timeout: 30 * time.Second, attempts: 5, rotate: true, useTCP: true}},
		{"bounds below", "options ndots:-1 timeout:0 attempts:0", resolvConf{servers: local, timeout: time.Second, attempts: 1}},
		{"not numbers", "options ndots:x timeout: attempts", resolvConf{servers: local, ndots: 1, timeout: 5 * time.Second, attempts: 2}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := parseResolvConf(c.text); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestFilesAreBounded(t *testing.T) {
	c := parseResolvConf(strings.Repeat("nameserver 10.0.0.1\n", 1000) + "search" + strings.Repeat(" a", 1000))
	if len(c.servers) != maxServers || len(c.search) != maxSearch {
		t.Errorf("%d servers and %d search domains", len(c.servers), len(c.search))
	}
}

type candidatesCase struct {
	name string
	ask  string
	conf resolvConf
	want []string
}

func TestCandidates(t *testing.T) {
	long := strings.Repeat("a.", 125) + "a"
	conf := resolvConf{search: []string{"x.y", "z"}, ndots: 2}
	cases := []candidatesCase{
		{"absolute", "a.", conf, []string{"a."}},
		{"fewer dots", "a.b", conf, []string{"a.b.x.y.", "a.b.z.", "a.b."}},
		{"dots enough", "a.b.c", conf, []string{"a.b.c.", "a.b.c.x.y.", "a.b.c.z."}},
		{"no search domain", "a", resolvConf{ndots: 1}, []string{"a."}},
		{"too long with a search domain", long, conf, []string{long + ".", long + ".z."}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.conf.candidates(c.ask); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

type searchCase struct {
	name string
	zone zone
	want string // an address, or the kind of the failure
	asks []string
}

func TestSearch(t *testing.T) {
	t.Parallel()
	const here, there = "10.0.0.1", "10.0.0.2"
	second := []string{"svc.x.b.example. 60 IN A " + there}
	cases := []searchCase{
		{"the first", zone{"A svc.x.a.example.": {"svc.x.a.example. 60 IN A " + here}, "A svc.x.b.example.": second}, here,
			[]string{"A svc.x.a.example."}},
		{"after NXDOMAIN", zone{"A svc.x.b.example.": second}, there,
			[]string{"A svc.x.a.example.", "A svc.x.b.example."}},
		{"after a name without records", zone{"ANY svc.x.a.example.": {}, "A svc.x.b.example.": second}, there,
			[]string{"A svc.x.a.example.", "A svc.x.b.example."}},
		{"after a server's error", zone{"ANY svc.x.a.example.": {"SERVFAIL"}, "A svc.x.b.example.": second}, there,
			[]string{"A svc.x.a.example.", "A svc.x.b.example."}},
		{"not after silence", zone{"ANY svc.x.a.example.": {"silent"}, "A svc.x.b.example.": second}, string(KindTimeout),
			[]string{"A svc.x.a.example."}},
		{"the name itself", zone{"A svc.x.": {"svc.x. 60 IN A " + here}}, here,
			[]string{"A svc.x.a.example.", "A svc.x.b.example.", "A svc.x."}},
		{"an error counts more than NXDOMAIN", zone{"ANY svc.x.a.example.": {"REFUSED"}}, string(KindServer),
			[]string{"A svc.x.a.example.", "A svc.x.b.example.", "A svc.x."}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.zone)
			r := newRig(t, []netip.AddrPort{s.addr}, "search a.example b.example", "options ndots:5", quick)
			a, err := r.Lookup(t.Context(), "svc.x", config.LookupV4Only)
			got := ""
			if err != nil {
				got = string(err.(*Failure).Kind)
			} else {
				got = a.First.String()
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			var asks []string
			for _, line := range s.log() {
				asks = append(asks, strings.TrimPrefix(line, "udp "))
			}
			if !slices.Equal(asks, c.asks) {
				t.Errorf("asked %q, want %q", asks, c.asks)
			}
		})
	}
}

// Families are not mixed from different names.
func TestSearchFindsOneName(t *testing.T) {
	t.Parallel()
	s := serve(t, zone{
		"A svc.a.example.": {"svc.a.example. 60 IN A 10.0.0.1"}, "AAAA svc.a.example.": {},
		"AAAA svc.b.example.": {"svc.b.example. 60 IN AAAA fd00::2"},
	})
	r := newRig(t, []netip.AddrPort{s.addr}, "search a.example b.example")
	a, err := r.Lookup(t.Context(), "svc", config.LookupAll)
	if err != nil || !slices.Equal(a.Addrs, addrs("10.0.0.1")) {
		t.Errorf("%v, %v", a, err)
	}
}

// NXDOMAIN for A is for the name; the search goes on though AAAA is silent.
func TestSearchGoesOnAfterHalfASilence(t *testing.T) {
	t.Parallel()
	s := serve(t, zone{"AAAA svc.a.example.": {"silent"}, "A svc.b.example.": {"svc.b.example. 60 IN A 10.0.0.2"}})
	r := newRig(t, []netip.AddrPort{s.addr}, "search a.example b.example", quick)
	a, err := r.Lookup(t.Context(), "svc", config.LookupAll)
	if err != nil || !slices.Equal(a.Addrs, addrs("10.0.0.2")) {
		t.Errorf("%v, %v", a, err)
	}
}

type hostsCase struct {
	name   string
	ask    string
	family config.LookupFamily
	want   []string
}

func TestHosts(t *testing.T) {
	t.Parallel()
	s := serve(t, zone{"AAAA four.example.": {"four.example. 60 IN AAAA fd00::9"}, "A other.example.": {"other.example. 60 IN A 10.0.0.9"}})
	r := newRig(t, []netip.AddrPort{s.addr})
	write(t, r.hosts, "10.0.0.1 db.example DB # comment.example", "fd00::1\tdb.example", "fe80::1%lo zone.example",
		"10.0.0.4 four.example", "nonsense other.example", "10.0.0.7 localhost", "10.0.0.5")
	cases := []hostsCase{
		{"both families", "db.example", config.LookupAll, []string{"10.0.0.1", "fd00::1"}},
		{"auto", "db.example.", config.LookupAuto, []string{"fd00::1"}},
		{"an alias in other letters", "Db", config.LookupV4Only, []string{"10.0.0.1"}},
		{"with zone", "zone.example", config.LookupAuto, []string{"fe80::1%lo"}},
		{"the other family is asked for", "four.example.", config.LookupV6Only, []string{"fd00::9"}},
		{"but only where it has to be", "four.example.", config.LookupAuto, []string{"10.0.0.4"}},
		{"a line that is none", "other.example.", config.LookupV4Only, []string{"10.0.0.9"}},
		{"localhost", "localhost", config.LookupV4Only, []string{"10.0.0.7"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, err := r.Lookup(t.Context(), c.ask, c.family)
			if err != nil || !slices.Equal(a.Addrs, addrs(c.want...)) {
				t.Errorf("%v, %v; want %v", a, err, c.want)
			}
		})
	}
}

func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	one := serve(t, zone{"A a.example.": {"a.example. 60 IN A 10.0.0.1"}})
	two := serve(t, zone{"A a.example.": {"a.example. 60 IN A 10.0.0.2"}})
	r := newRig(t, nil, "nameserver "+one.addr.String())
	expect := func(want string) {
		t.Helper()
		a, err := r.Lookup(t.Context(), "a.example.", config.LookupV4Only)
		if err != nil || a.First.String() != want {
			t.Errorf("%v, %v; want %s", a, err, want)
		}
	}
	expect("10.0.0.1")
	// As kubelets and editors do: another file in its place.
	write(t, r.conf+".new", "nameserver "+two.addr.String(), "options timeout:1")
	if err := os.Rename(r.conf+".new", r.conf); err != nil {
		t.Fatal(err)
	}
	expect("10.0.0.2")
	write(t, r.hosts, "10.0.0.3 a.example")
	expect("10.0.0.3")
	if err := os.Remove(r.hosts); err != nil {
		t.Fatal(err)
	}
	expect("10.0.0.2")
	// What cannot be read leaves the settings as they are.
	if err := os.Remove(r.conf); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.conf, 0o700); err != nil {
		t.Fatal(err)
	}
	expect("10.0.0.2")
}

// Another file of the same size and time is another file.
func TestAnotherFileIsReadAgain(t *testing.T) {
	path, when := filepath.Join(t.TempDir(), "f"), time.Unix(1000, 0)
	r := reread[string]{path: path, parse: func(text string) string { return text }}
	for _, want := range []string{"a\n", "b\n"} {
		write(t, path+".new", want[:1])
		if err := errors.Join(os.Chtimes(path+".new", when, when), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
		if got, err := r.get(); err != nil || *got != want {
			t.Errorf("%q, %v; want %q", *got, err, want)
		}
	}
}

type newCase struct {
	name    string
	options func(dir string) Options
	want    string
}

func TestNewResolverErrors(t *testing.T) {
	cases := []newCase{
		{"no address", func(string) Options { return Options{Resolvers: make([]netip.AddrPort, 1)} }, "no address"},
		{"resolv.conf is a directory", func(dir string) Options { return Options{ResolvConf: dir} }, "is a directory"},
		{"hosts below a file", func(dir string) Options {
			write(t, filepath.Join(dir, "f"))
			return Options{Hosts: filepath.Join(dir, "f", "hosts")}
		}, "not a directory"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := NewResolver(c.options(t.TempDir())); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
