package testnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimVar) != "" {
		os.Exit(victim())
	}
	Main(m)
}

// chain is client - router - server, with routes over the router both ways.
func chain(t *testing.T) (client, router, server *Host) {
	n := New(t)
	client, router, server = n.Host("client"), n.Host("router"), n.Host("server")
	n.Link(client, "10.1.0.2/24,fd00:1::2/64", router, "10.1.0.1/24,fd00:1::1/64")
	n.Link(router, "10.2.0.1/24,fd00:2::1/64", server, "10.2.0.2/24,fd00:2::2/64")
	router.Sysctl("net.ipv4.ip_forward", "1")
	router.Sysctl("net.ipv6.conf.all.forwarding", "1")
	client.Route("default", "10.1.0.1")
	client.Route("default", "fd00:1::1")
	server.Route("10.1.0.0/24", "10.2.0.1")
	server.Route("fd00:1::/64", "fd00:2::1")
	return client, router, server
}

func TestThreeHosts(t *testing.T) {
	client, router, server := chain(t)
	if got := router.Addr().String(); got != "10.1.0.1" {
		t.Errorf("router's address is %s, want its first, 10.1.0.1", got)
	}
	if got := server.Addr6().String(); got != "fd00:2::2" {
		t.Errorf("server's IPv6 address is %s", got)
	}
	for _, tc := range []struct{ name, listen, from string }{
		{"IPv4", "10.2.0.2:80", "10.1.0.2"},
		{"IPv6", "[fd00:2::2]:80", "fd00:1::2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			listener := server.Listen("tcp", tc.listen)
			conn, err := client.Dial("tcp", tc.listen)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			accepted, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if host, _, _ := net.SplitHostPort(accepted.RemoteAddr().String()); host != tc.from {
				t.Errorf("the server sees %s, want %s", host, tc.from)
			}
			if _, err := io.WriteString(accepted, "hello"); err != nil {
				t.Fatal(err)
			}
			accepted.Close()
			if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

// TestNamespacesAreApart shows that the loopback of one host is not that of
// another, nor that of the machine, and that Do comes home.
func TestNamespacesAreApart(t *testing.T) {
	home := readlink(t, "/proc/thread-self/ns/net")
	n := New(t)
	a, b := n.Host("a"), n.Host("b")
	// The machine's 127.0.0.1 has servers of other tests.
	address := a.Listen("tcp", netip.AddrPortFrom(Loopback(), 0).String()).Addr().String()
	for name, dial := range map[string]func(string, string) (net.Conn, error){
		"another host": b.Dial, "the machine": net.Dial,
	} {
		if conn, err := dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s reaches the loopback of host a", name)
		}
	}
	conn, err := a.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	a.Do(func() {
		if got := readlink(t, "/proc/thread-self/ns/net"); got != a.space.holder.id {
			t.Errorf("inside Do the namespace is %s, want %s", got, a.space.holder.id)
		}
	})
	if got := readlink(t, "/proc/thread-self/ns/net"); got != home {
		t.Errorf("after Do the namespace is %s, want %s", got, home)
	}
}

func TestSysctl(t *testing.T) {
	const key = "net.ipv4.ip_local_port_range"
	n := New(t)
	a, b := n.Host("a"), n.Host("b")
	before := b.ReadSysctl(key)
	a.Sysctl(key, "40000 40009")
	if got := strings.Fields(a.ReadSysctl(key)); strings.Join(got, " ") != "40000 40009" {
		t.Errorf("host a has %v", got)
	}
	if got := b.ReadSysctl(key); got != before {
		t.Errorf("host b has changed to %s", got)
	}
	if got := new(fakeTB).run(func(tb TB) { New(tb).Host("c").Sysctl("vm.swappiness", "1") }); !strings.Contains(got, "whole machine") {
		t.Errorf("a parameter of the machine: %q", got)
	}
}

// TestIptables shows that capture rules can be loaded, as root and in a user
// namespace.
func TestIptables(t *testing.T) {
	Need(t, "iptables", "ip6tables")
	h := New(t).Host("pod")
	for _, tool := range []string{"iptables", "ip6tables"} {
		h.Run(tool, "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-m", "owner", "--uid-owner", "1337", "-j", "RETURN")
		if got := h.Run(tool+"-save", "-t", "nat"); !strings.Contains(got, "--uid-owner 1337 -j RETURN") {
			t.Errorf("%s-save: %s", tool, got)
		}
	}
}

func TestDirIsForEveryUID(t *testing.T) {
	n := New(t)
	file := n.Dir() + "/by-1337"
	n.Host("pod").As(1337, 1337).Run("touch", file)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	fake := new(fakeTB)
	var dir string
	if got := fake.run(func(tb TB) { dir = New(tb).Dir() }); got != "" {
		t.Error(got)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory outlives its test: %v", err)
	}
}

func readlink(t *testing.T, path string) string {
	t.Helper()
	target, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return target
}
