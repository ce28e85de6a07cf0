package rules

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

type arrivalCase struct {
	name   string
	script string // what the client does instead of connecting
	want   string // part of the error; "" passes
}

func TestCheckComparesTheArrival(t *testing.T) {
	c := check{"outbound", 0, 0, netip.MustParseAddrPort("192.0.2.1:80"), 15001}
	for _, a := range []arrivalCase{
		{"right", "echo port 15001 original destination 192.0.2.1:80", ""},
		{"wrong port", "echo port 15006 original destination 192.0.2.1:80", "port 15006"},
		{"wrong destination", "echo port 15001 original destination 127.0.0.1:15001", "127.0.0.1:15001"},
		{"nothing", "exit 0", `arrived as ""`},
		{"refused", "echo connection refused >&2; exit 1", "connection refused"},
	} {
		t.Run(a.name, func(t *testing.T) {
			err := c.run(t.Context(), func(ctx context.Context, _, _ uint32, _ netip.AddrPort) *exec.Cmd {
				return exec.CommandContext(ctx, "/bin/sh", "-c", a.script)
			})
			if (err == nil) != (a.want == "") || !strings.Contains(fmt.Sprint(err), a.want) && err != nil {
				t.Errorf("error %v, want %q", err, a.want)
			}
		})
	}
}

type checksCase struct {
	name   string
	change func(*Options)
	want   []string // "name uid gid port capture"
}

func TestChecks(t *testing.T) {
	local := []localAddr{{netip.MustParsePrefix("127.0.0.1/8"), "lo"}}
	noOutbound := func(o *Options) { o.OutboundPrefixes = PrefixSet{} }
	for _, c := range []checksCase{
		{"inbound", noOutbound, []string{"inbound 1337 1337 15002 15006"}},
		{"listed port", func(o *Options) {
			noOutbound(o)
			o.InboundPorts, o.InboundExclude = PortSet{Ports: []uint16{80, 81, 82}}, []uint16{80}
		}, []string{"inbound 1337 1337 81 15006"}},
		{"gid alone", func(o *Options) { noOutbound(o); o.ProxyUIDs = nil }, []string{"inbound 0 1337 15002 15006"}},
		{"root as proxy", func(o *Options) { noOutbound(o); o.ProxyUIDs = []uint32{0} }, []string{"inbound 0 1337 15002 15006"}},
		{"nothing", func(o *Options) { noOutbound(o); o.InboundPorts = PortSet{} }, nil},
		{"no address to send from", nothing, []string{"inbound 1337 1337 15002 15006"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Default()
			c.change(&o)
			checks, err := o.checks(IPv4, local)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, k := range checks {
				got = append(got, fmt.Sprint(k.name, " ", k.uid, " ", k.gid, " ", k.target.Port(), " ", k.capture))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, not %v", got, c.want)
			}
		})
	}
}

func TestApplicationIDs(t *testing.T) {
	o := Default()
	o.ProxyUIDs, o.ProxyGIDs = []uint32{0, 1}, nil
	if uid, gid := o.applicationIDs(); uid != 2 || gid != 0 {
		t.Errorf("uid %d gid %d", uid, gid)
	}
}
