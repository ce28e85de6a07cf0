package config

import (
	"net/netip"
	"reflect"
	"testing"
)

func TestNormalize(t *testing.T) {
	cfg := Default()
	cfg.AccessLog, cfg.Clusters = []AccessLog{}, []Cluster{{
		UpstreamBindAddress: netip.MustParseAddr("::ffff:127.0.0.6"),
		Endpoints:           []Endpoint{{Address: Address(netip.MustParseAddrPort("[::ffff:10.0.0.1]:80"))}},
	}}
	cfg.Listeners = []Listener{{
		Address: netip.MustParseAddrPort("[::ffff:0.0.0.0]:15006"),
		FilterChains: []FilterChain{
			{Name: "own", AccessLog: []AccessLog{}},
			{Match: Match{SourcePorts: []uint16{}, ServerNames: []string{"*.A.Example", "É.example"}, ApplicationProtocols: []string{}, PrefixRanges: []netip.Prefix{
				netip.MustParsePrefix("10.4.5.6/16"),
				netip.MustParsePrefix("::ffff:10.4.5.6/112"),
				netip.MustParsePrefix("::ffff:10.4.5.6/95"),
				netip.MustParsePrefix("fd00::1/8"),
			}}},
		},
		DefaultFilterChain: &FilterChain{},
	}}
	Normalize(&cfg)
	l, c := cfg.Listeners[0], cfg.Clusters[0]
	if got := l.Address.String(); got != "0.0.0.0:15006" {
		t.Errorf("listener address %s", got)
	}
	if c.UpstreamBindAddress.String() != "127.0.0.6" || c.Endpoints[0].Address.String() != "10.0.0.1:80" {
		t.Errorf("cluster addresses %v %v", c.UpstreamBindAddress, c.Endpoints)
	}
	if names := []string{l.FilterChains[0].Name, l.FilterChains[1].Name, l.DefaultFilterChain.Name}; !reflect.DeepEqual(names, []string{"own", "chain-1", "default"}) {
		t.Errorf("chain names %v", names)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.4.0.0/16"), netip.MustParsePrefix("10.4.0.0/16"),
		netip.MustParsePrefix("::fffe:0:0/95"), netip.MustParsePrefix("fd00::/8")}
	if got := l.FilterChains[1].Match.PrefixRanges; !reflect.DeepEqual(got, want) {
		t.Errorf("prefixes %v, want %v", got, want)
	}
	if got := l.FilterChains[1].Match.ServerNames; !reflect.DeepEqual(got, []string{"*.a.example", "É.example"}) {
		t.Errorf("server names %v", got)
	}
	if cfg.AccessLog != nil || l.FilterChains[1].Match.ApplicationProtocols != nil || l.FilterChains[1].Match.SourcePorts != nil {
		t.Error("an empty list is left")
	}
	if l.FilterChains[0].AccessLog == nil || l.FilterChains[1].AccessLog != nil {
		t.Error("a chain's access log was changed: empty means none, nil the global ones")
	}
	before := cfg
	Normalize(&cfg)
	if !reflect.DeepEqual(before, cfg) {
		t.Error("a second Normalize changes something")
	}
}

// Defaults must not share memory: a front door decodes into them.
func TestDefaultsAreFresh(t *testing.T) {
	a, b := DefaultAccessLog(), DefaultAccessLog()
	a.LogOn[0] = LogStart
	if b.LogOn[0] != LogEnd {
		t.Error("two default access logs share log_on")
	}
}
