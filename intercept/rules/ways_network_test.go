package rules

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

// wayCase is one connection under some options and where it has to arrive.
type wayCase struct {
	name   string
	change func(*Options)
	from   func(*fixture) sender
	to     func(places) string
	port   uint16
	want   func(places) string
}

func toPod(p places) string       { return p.pod }
func toRemote(p places) string    { return p.remote }
func toOther(p places) string     { return p.other }
func toLocalhost(p places) string { return p.localhost }

func nothing(*Options) {}

func outboundTo(to func(places) string, port uint16) func(places) string {
	return func(p places) string { return captured(15001, to(p), port) }
}

func inboundTo(to func(places) string, port uint16) func(places) string {
	return func(p places) string { return captured(15006, to(p), port) }
}

// direct is what an uncaptured connection gets, with the source it has when
// nothing interferes.
func direct(name string, from func(places) string) func(places) string {
	return func(p places) string { return name + " from " + from(p) }
}

func fromClient(p places) string { return p.client }

func bothFamilies(v4, v6 string) []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix(v4), netip.MustParsePrefix(v6)}
}

func outboundCases() []wayCase {
	app, proxy := (*fixture).app, (*fixture).proxy
	remoteOnly := bothFamilies("10.4.0.10/32", "fd00:4::10/128")
	only := func(o *Options) { o.OutboundPrefixes = PrefixSet{Prefixes: remoteOnly} }
	except := func(o *Options) { o.OutboundExclude = remoteOnly }
	noPrefix := func(o *Options) { o.OutboundPrefixes = PrefixSet{} }
	port443 := func(o *Options) { o.OutboundPrefixes, o.OutboundPorts = PrefixSet{}, []uint16{443} }
	remote := direct("remote", toPod)
	return []wayCase{
		{"application", nothing, app, toRemote, 80, outboundTo(toRemote, 80)},
		{"application of root", nothing, func(f *fixture) sender { return sender{f.pod, 0, 0} }, toRemote, 80, outboundTo(toRemote, 80)},
		{"proxy", nothing, proxy, toRemote, 80, remote},
		{"proxy by uid alone", nothing, func(f *fixture) sender { return sender{f.pod, 1337, 5} }, toRemote, 80, remote},
		{"proxy by gid alone", nothing, func(f *fixture) sender { return sender{f.pod, 5, 1337} }, toRemote, 80, remote},
		{"second uid", func(o *Options) { o.ProxyUIDs = []uint32{1337, 42} },
			func(f *fixture) sender { return sender{f.pod, 42, 5} }, toRemote, 80, remote},
		{"excluded CIDR", except, app, toRemote, 80, remote},
		{"beside the excluded CIDR", except, app, toOther, 80, outboundTo(toOther, 80)},
		{"included CIDR", only, app, toRemote, 80, outboundTo(toRemote, 80)},
		{"beside the included CIDR", only, app, toOther, 80, remote},
		{"no CIDR", noPrefix, app, toRemote, 80, remote},
		{"included port", port443, app, toRemote, 443, outboundTo(toRemote, 443)},
		{"beside the included port", port443, app, toRemote, 80, remote},
		{"excluded port", func(o *Options) { o.OutboundExcludePorts = []uint16{443} }, app, toRemote, 443, remote},
		{"beside the excluded port", func(o *Options) { o.OutboundExcludePorts = []uint16{443} }, app, toRemote, 80, outboundTo(toRemote, 80)},
		{"excluded interface", func(o *Options) { o.ExcludeInterfaces = []string{"eth0"} }, app, toRemote, 80, remote},
		{"beside the excluded interface", func(o *Options) { o.ExcludeInterfaces = []string{"eth1"} }, app, toRemote, 80, outboundTo(toRemote, 80)},
		{"localhost", nothing, app, toLocalhost, 9080, direct("app", toLocalhost)},
		{"localhost of the proxy", nothing, proxy, toLocalhost, 9080, direct("app", toLocalhost)},
		{"application to its own pod", nothing, app, toPod, 9080, direct("app", toPod)},
	}
}

func inboundCases() []wayCase {
	remote := (*fixture).remote
	fromOutside := direct("app", fromClient)
	list := func(o *Options) { o.InboundPorts = PortSet{Ports: []uint16{9080, 15021}} }
	return []wayCase{
		{"inbound", nothing, remote, toPod, 9080, inboundTo(toPod, 9080)},
		{"inbound to a port without application", nothing, remote, toPod, 9999, inboundTo(toPod, 9999)},
		{"metrics", nothing, remote, toPod, 15090, fromOutside},
		{"readiness", nothing, remote, toPod, 15021, fromOutside},
		{"readiness that is listed", list, remote, toPod, 15021, fromOutside},
		{"merged agent", nothing, remote, toPod, 15020, fromOutside},
		{"tunnel", nothing, remote, toPod, 15008, fromOutside},
		{"inbound excluded port", func(o *Options) { o.InboundExclude = []uint16{9080} }, remote, toPod, 9080, fromOutside},
		{"beside the inbound excluded port", func(o *Options) { o.InboundExclude = []uint16{9080} }, remote, toPod, 9090, inboundTo(toPod, 9090)},
		{"inbound listed port", list, remote, toPod, 9080, inboundTo(toPod, 9080)},
		{"beside the inbound listed port", list, remote, toPod, 9090, fromOutside},
		{"no inbound port", func(o *Options) { o.InboundPorts = PortSet{} }, remote, toPod, 9080, fromOutside},
		{"inbound excluded interface", func(o *Options) { o.ExcludeInterfaces = []string{"eth0"} }, remote, toPod, 9080, fromOutside},
		{"beside the inbound excluded interface", func(o *Options) { o.ExcludeInterfaces = []string{"eth1"} }, remote, toPod, 9080, inboundTo(toPod, 9080)},
		{"inbound, invalid packets dropped", func(o *Options) { o.DropInvalid = true }, remote, toPod, 9080, inboundTo(toPod, 9080)},
	}
}

// selfCases: the proxy, asked by the application for a service that this pod
// itself serves, connects to its own pod.
func selfCases() []wayCase {
	proxy := (*fixture).proxy
	return []wayCase{
		{"proxy to its own pod", nothing, proxy, toPod, 9080, inboundTo(toPod, 9080)},
		{"proxy to its own pod by uid alone", nothing, func(f *fixture) sender { return sender{f.pod, 1337, 5} }, toPod, 9080, inboundTo(toPod, 9080)},
		{"second uid to its own pod", func(o *Options) { o.ProxyUIDs = []uint32{1337, 42} },
			func(f *fixture) sender { return sender{f.pod, 42, 5} }, toPod, 9080, inboundTo(toPod, 9080)},
		{"proxy to its own pod, nothing inbound", func(o *Options) { o.InboundPorts = PortSet{} }, proxy, toPod, 9080, direct("app", toPod)},
	}
}

// TestWays sends the same connections under both modes: where they arrive is
// the same.
func TestWays(t *testing.T) {
	for _, mode := range []Mode{Redirect, TProxy} {
		t.Run(string(mode), func(t *testing.T) {
			f := newFixture(t)
			base := Default()
			base.Mode = mode
			f.capture(base)
			for _, group := range [][]wayCase{outboundCases(), inboundCases(), selfCases()} {
				for _, c := range group {
					o := base
					c.change(&o)
					f.apply(o)
					for _, p := range families() {
						from, d := c.from(f), net.Dialer{}
						if from.host == f.client {
							d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(p.client)} // one of several
						}
						if got := from.ask(d, c.to(p), c.port); got != c.want(p) {
							t.Errorf("%s, %s: %q, not %q", c.name, p.family, got, c.want(p))
						}
					}
				}
			}
		})
	}
}

// TestPassthroughSource: what the proxy sends from 127.0.0.6 or ::6 reaches
// the application, in both modes. ::6 is there because apply has added it, is
// never tentative, and has a route when apply has ended.
func TestPassthroughSource(t *testing.T) {
	for _, mode := range []Mode{Redirect, TProxy} {
		t.Run(string(mode), func(t *testing.T) {
			f := newFixture(t)
			o := Default()
			o.Mode = mode
			f.capture(o)
			f.apply(o)
			if routes := f.pod.Run("ip", "-6", "route", "show", "table", "local", passthroughIPv6); !strings.Contains(routes, "local ::6 dev lo") {
				t.Errorf("::6 has no route: %q", routes)
			}
			if added := f.pod.Run("ip", "-6", "addr", "show", "dev", "lo", "to", passthroughIPv6); !strings.Contains(added, " nodad ") {
				t.Errorf("::6 is looked at for duplicates:\n%s", added)
			}
			for _, p := range families() {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(p.passthrough)}}
				if got, want := f.proxy().ask(d, p.pod, 9080), "app from "+p.passthrough; got != want {
					t.Errorf("%s: %q, not %q", p.family, got, want)
				}
			}
		})
	}
}

// TestLoopbackIncluded: who names a loopback prefix has it captured, all but
// localhost itself.
func TestLoopbackIncluded(t *testing.T) {
	f := newFixture(t)
	o := Default()
	o.OutboundPrefixes = PrefixSet{Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	f.capture(o)
	f.apply(o)
	if got, want := f.app().ask(net.Dialer{}, "127.7.0.1", 9080), captured(15001, "127.7.0.1", 9080); got != want {
		t.Errorf("included: %q, not %q", got, want)
	}
	if got, want := f.app().ask(net.Dialer{}, "127.0.0.1", 9080), "app from 127.0.0.1"; got != want {
		t.Errorf("localhost: %q, not %q", got, want)
	}
	if got, want := f.proxy().ask(net.Dialer{}, "127.7.0.1", 9080), captured(15006, "127.7.0.1", 9080); got != want {
		t.Errorf("proxy: %q, not %q", got, want)
	}
}
