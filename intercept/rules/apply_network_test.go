package rules

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// backend is one of the two implementations of iptables.
type backend struct {
	name string
	host func(*testing.T) Host
}

func backends() []backend {
	return []backend{
		{"default", func(*testing.T) Host { return systemHost() }},
		{"nft", func(t *testing.T) Host { return hostWith(t, "nft") }},
		{"legacy", func(t *testing.T) Host { return hostWith(t, "legacy") }},
	}
}

// hostWith is a host whose PATH leads to iptables-VARIANT.
func hostWith(t *testing.T, variant string) Host {
	t.Helper()
	dir := t.TempDir()
	// The legacy one locks a file in /run, which an ordinary user that is
	// root in a user namespace may not open.
	t.Setenv("XTABLES_LOCKFILE", filepath.Join(dir, "lock"))
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, tool := range []string{"save", "restore"} {
			real, err := systemHost().find(family + "-" + variant + "-" + tool)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(real, filepath.Join(dir, family+"-"+tool)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return NewHost(SearchPath(dir))
}

// settle waits until the kernel has nothing more to do for IPv6: it gives each device
// an address, makes routes and ends being tentative in threads of its own.
func settle(t *testing.T, pod *testnet.Host) {
	t.Helper()
	testnet.Eventually(t, time.Minute, func() error {
		addresses := pod.Run("ip", "-6", "-o", "addr", "show")
		routes := pod.Run("ip", "-6", "route", "show", "table", "local")
		for line := range strings.Lines(addresses) { // 2: eth0    inet6 fd00:4::5/64 scope global nodad
			fields := strings.Fields(line)
			address, _, _ := strings.Cut(fields[3], "/")
			if strings.Contains(line, "tentative") || !strings.Contains(routes, "local "+address+" dev "+fields[1]+" ") {
				return fmt.Errorf("%s is tentative or has no route yet; all routes:\n%s", line, routes)
			}
		}
		for line := range strings.Lines(pod.Run("ip", "-o", "link", "show", "type", "veth")) { // 2: eth0@if2: <…
			device, _, _ := strings.Cut(strings.Fields(line)[1], "@")
			if !regexp.MustCompile(`\b` + device + ` +inet6 fe80:`).MatchString(addresses) {
				return fmt.Errorf("%s has no address of its own yet:\n%s", device, addresses)
			}
		}
		return nil
	})
}

// picture is everything that apply may change, as the tools print it.
func picture(t *testing.T, pod *testnet.Host, h Host) string {
	t.Helper()
	settle(t, pod)
	var b strings.Builder
	pod.Do(func() {
		for _, c := range []command{
			{name: "iptables-save"}, {name: "ip6tables-save"},
			{name: "ip", args: []string{"-4", "rule"}}, {name: "ip", args: []string{"-6", "rule"}},
			{name: "ip", args: []string{"-4", "route", "show", "table", "all"}},
			{name: "ip", args: []string{"-6", "route", "show", "table", "all"}},
			{name: "ip", args: []string{"addr", "show", "dev", "lo"}},
		} {
			out, err := h.run(context.Background(), c)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(&b, "== %s\n%s", c, out)
		}
	})
	// Times and packet counters are not rules.
	return regexp.MustCompile(`(?m)^#.*\n|\[\d+:\d+\]`).ReplaceAllString(b.String(), "")
}

func (f *fixture) applyOn(h Host, o Options, families ...Family) {
	f.t.Helper()
	sets, err := BuildAll(o, families)
	if err != nil {
		f.t.Fatal(err)
	}
	f.pod.Do(func() { err = h.Apply(context.Background(), sets) })
	if err != nil {
		f.t.Fatal(err)
	}
}

// foreignRules are somebody else's, some of them easy to take for ours.
func foreignRules() string {
	return `*mangle
:THEIRS - [0:0]
-A PREROUTING -j THEIRS
-A OUTPUT -p tcp -m mark --mark 0x539 -j ACCEPT
-A POSTROUTING -m comment --comment "-j ISTIO_OUTPUT" -j RETURN
COMMIT
*nat
:ISTIO_SOMETHING_ELSE - [0:0]
-A PREROUTING -p tcp --dport 7777 -j ISTIO_SOMETHING_ELSE
-A OUTPUT -p tcp --dport 15001 -j ACCEPT
-A OUTPUT -m comment --comment "say \"-j ISTIO_REDIRECT\" twice" -p tcp --dport 7778 -j RETURN
COMMIT
*filter
:ISTIO_OUTPUT - [0:0]
-A OUTPUT -j ISTIO_OUTPUT
COMMIT
`
}

func (f *fixture) addForeign(h Host) {
	f.t.Helper()
	f.pod.Do(func() {
		for _, c := range []command{
			{name: "iptables-restore", args: []string{"--noflush"}, stdin: foreignRules()},
			{name: "ip6tables-restore", args: []string{"--noflush"}, stdin: foreignRules()},
			{name: "ip", args: strings.Fields("rule add fwmark 1337 lookup 134")},
			{name: "ip", args: strings.Fields("rule add from 10.9.0.0/16 lookup 133")},
			{name: "ip", args: strings.Fields("route add 10.9.0.0/16 via 10.4.0.9 table 133")},
			{name: "ip", args: strings.Fields("-6 rule add fwmark 1337 lookup 135")},
			{name: "ip", args: strings.Fields("-6 route add local default dev lo table 135")},
		} {
			if _, err := h.run(context.Background(), c); err != nil {
				f.t.Error(err)
			}
		}
	})
}

func appendForeign(f *fixture, h Host) {
	f.t.Helper()
	f.pod.Do(func() {
		c := restoreCommand(IPv4, "*nat\n-A OUTPUT -p tcp --dport 7779 -j RETURN\n-A PREROUTING -p tcp --dport 7779 -j RETURN\nCOMMIT\n")
		if _, err := h.run(context.Background(), c); err != nil {
			f.t.Error(err)
		}
	})
}

func everyOptions() map[string]Options {
	redirect, tproxy, other, invalid := Default(), Default(), Default(), Default()
	tproxy.Mode = TProxy
	other.Mode, other.TProxyMark, other.TProxyTable, other.InboundExclude = TProxy, 9, 99, []uint16{22}
	invalid.DropInvalid, invalid.InboundPorts = true, PortSet{}
	return map[string]Options{"redirect": redirect, "tproxy": tproxy, "other marks": other, "drop invalid, outbound only": invalid}
}

// TestApplyTwiceAndClean: whatever is applied over whatever, the result is
// that of a first apply; and clean leaves what was there before.
func TestApplyTwiceAndClean(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			f, h := newFixture(t), b.host(t)
			f.addForeign(h)
			before := picture(t, f.pod, h)
			first := map[string]string{}
			for name, o := range everyOptions() {
				f.applyOn(h, o, IPv4, IPv6)
				first[name] = picture(t, f.pod, h)
				if first[name] == before {
					t.Fatalf("%s: apply changed nothing", name)
				}
				f.cleanOn(h)
				if after := picture(t, f.pod, h); after != before {
					t.Fatalf("%s: clean left a difference:\n%s\nbefore:\n%s", name, after, before)
				}
			}
			for from, a := range everyOptions() {
				for to, b := range everyOptions() {
					f.applyOn(h, a, IPv4, IPv6)
					f.applyOn(h, b, IPv4, IPv6)
					if got := picture(t, f.pod, h); got != first[to] {
						t.Errorf("%s over %s:\n%s\ninstead of\n%s", to, from, got, first[to])
					}
				}
			}
			f.cleanOn(h)
			f.cleanOn(h)
			if after := picture(t, f.pod, h); after != before {
				t.Errorf("clean twice left a difference:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

func (f *fixture) cleanOn(h Host) {
	f.t.Helper()
	var err error
	f.pod.Do(func() { err = h.Clean(context.Background()) })
	if err != nil {
		f.t.Fatal(err)
	}
}

// TestForeignRulesKeepTheirPlace: rules that somebody added after ours stay
// after ours, through an apply that changes ours and through clean.
func TestForeignRulesKeepTheirPlace(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			f, h := newFixture(t), b.host(t)
			f.addForeign(h)
			o := Default()
			o.InboundPorts = PortSet{}
			f.applyOn(h, o, IPv4)
			appendForeign(f, h)
			f.applyOn(h, o, IPv4)
			again := picture(t, f.pod, h)
			if ours, theirs := strings.Index(again, "-j ISTIO_OUTPUT\n"), strings.Index(again, "-A OUTPUT -p tcp -m tcp --dport 7779"); ours < 0 || theirs < ours {
				t.Errorf("ours at %d, a later foreign rule at %d:\n%s", ours, theirs, again)
			}
			if strings.Count(again, "\n-A OUTPUT -p tcp -j ISTIO_OUTPUT") != 1 {
				t.Errorf("not one jump:\n%s", again)
			}
			f.cleanOn(h)
			if left := picture(t, f.pod, h); !strings.Contains(left, "-A PREROUTING -p tcp -m tcp --dport 7779 -j RETURN") {
				t.Errorf("clean took a foreign rule:\n%s", left)
			}
		})
	}
}

// TestFamilyLeftOut: applying for IPv4 alone removes the IPv6 rules of before.
func TestFamilyLeftOut(t *testing.T) {
	f, h := newFixture(t), systemHost()
	f.addForeign(h)
	f.applyOn(h, Default(), IPv4)
	want := picture(t, f.pod, h)
	f.applyOn(h, Default(), IPv4, IPv6)
	f.applyOn(h, Default(), IPv4)
	if got := picture(t, f.pod, h); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestAddressThatWasThere: an ::6 of the administrator's survives clean.
func TestAddressThatWasThere(t *testing.T) {
	f, h := newFixture(t), systemHost()
	f.pod.Run("ip", "-6", "addr", "add", "::6/128", "dev", "lo")
	settle(t, f.pod)
	before := f.pod.Run("ip", "addr", "show", "dev", "lo")
	f.applyOn(h, Default(), IPv4, IPv6)
	f.cleanOn(h)
	if after := f.pod.Run("ip", "addr", "show", "dev", "lo"); after != before {
		t.Errorf("after clean:\n%s\nbefore:\n%s", after, before)
	}
}

// TestPrintIsWhatIsInstalled: the printed text, given to iptables-restore by
// hand, makes the rules that apply makes.
func TestPrintIsWhatIsInstalled(t *testing.T) {
	f, h := newFixture(t), systemHost()
	o := Default()
	o.Mode, o.DropInvalid = TProxy, true
	sets, err := BuildAll(o, []Family{IPv4})
	if err != nil {
		t.Fatal(err)
	}
	f.pod.Do(func() {
		_, err = h.run(context.Background(), command{name: "iptables-restore", args: []string{"--noflush"}, stdin: Text(sets)})
	})
	if err != nil {
		t.Fatal(err)
	}
	byHand := f.pod.Run("iptables-save")
	f.applyOn(h, o, IPv4)
	strip := regexp.MustCompile(`(?m)^#.*\n|\[\d+:\d+\]`)
	if applied := f.pod.Run("iptables-save"); strip.ReplaceAllString(applied, "") != strip.ReplaceAllString(byHand, "") {
		t.Errorf("applied:\n%s\nprinted:\n%s", applied, byHand)
	}
}

// TestHasIPv6 follows the namespace that the thread is in.
func TestHasIPv6(t *testing.T) {
	f := newFixture(t)
	for _, disabled := range []string{"0", "1"} {
		f.pod.Sysctl("net.ipv6.conf.all.disable_ipv6", disabled)
		f.pod.Do(func() {
			if has, err := HasIPv6(); err != nil || has != (disabled == "0") {
				t.Errorf("disable_ipv6=%s: %v, %v", disabled, has, err)
			}
		})
	}
}

type failureCase struct {
	name string
	tool string // the one that fails
	at   string // when its input or arguments have this
}

// TestFailureLeavesTheStateBefore: whichever step fails, the host is as it
// was, with what an earlier apply made and with foreign rules in place.
func TestFailureLeavesTheStateBefore(t *testing.T) {
	for _, c := range []failureCase{
		{"policy route", "ip", "route add"},
		{"IPv6 address", "ip", "addr add"},
		{"first table", "iptables-restore", "*mangle"},
		{"second table", "iptables-restore", "*nat"},
		{"IPv6 first table", "ip6tables-restore", "*mangle"},
		{"IPv6 after IPv4", "ip6tables-restore", "*nat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.addForeign(systemHost())
			earlier := Default()
			earlier.InboundExclude, earlier.DropInvalid = []uint16{22}, true
			f.applyOn(systemHost(), earlier, IPv4)
			appendForeign(f, systemHost())
			before := picture(t, f.pod, systemHost())
			o := Default()
			o.Mode = TProxy
			sets, err := BuildAll(o, []Family{IPv4, IPv6})
			if err != nil {
				t.Fatal(err)
			}
			h := hostFailing(t, c)
			f.pod.Do(func() { err = h.Apply(context.Background(), sets) })
			if err == nil || !strings.Contains(err.Error(), "made to fail") {
				t.Errorf("error %v", err)
			}
			if after := picture(t, f.pod, systemHost()); after != before {
				t.Errorf("after the failure:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// hostFailing has the real tools, but one of them fails at its case.
func hostFailing(t *testing.T, c failureCase) Host {
	t.Helper()
	real, err := systemHost().find(c.tool)
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`#!/bin/sh
input=$(case %s in *restore) cat;; esac)
case "$* $input" in *"%s"*) echo made to fail >&2; exit 1;; esac
[ -z "$input" ] && exec %s "$@"
printf '%%s\n' "$input" | %[3]s "$@"
`, c.tool, c.at, real)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, c.tool), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return NewHost(SearchPath(dir))
}

// shellProbe connects as another user by bash alone, and takes so many seconds at most.
func shellProbe(pod *testnet.Host, most int) Prober {
	return func(_ context.Context, uid, gid uint32, target netip.AddrPort) *exec.Cmd {
		script := fmt.Sprintf("exec 3<>/dev/tcp/%s/%d && cat <&3", target.Addr(), target.Port())
		return pod.As(uid, gid).Command("timeout", strconv.Itoa(most), "bash", "-c", script)
	}
}

// TestValidate passes on rules that are there and names what is missing.
func TestValidate(t *testing.T) {
	for name, o := range everyOptions() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			families := []Family{IPv4, IPv6}
			f.applyOn(systemHost(), o, families...)
			var err error
			validate := func(most int) func() {
				return func() { err = Validate(t.Context(), o, families, shellProbe(f.pod, most)) }
			}
			if f.pod.Do(validate(60)); err != nil {
				t.Errorf("with the rules: %v", err)
			}
			f.pod.Run("ip6tables", "-t", "nat", "-F", "ISTIO_OUTPUT")
			if f.pod.Do(validate(5)); !errors.Is(err, ErrValidation) || !strings.Contains(fmt.Sprint(err), "IPv6: outbound") {
				t.Errorf("without the IPv6 outbound rules: %v", err)
			}
		})
	}
}

func TestValidateInbound(t *testing.T) {
	for _, mode := range []Mode{Redirect, TProxy} {
		t.Run(string(mode), func(t *testing.T) {
			f := newFixture(t)
			o := Default()
			o.Mode = mode
			f.applyOn(systemHost(), o, IPv4)
			other := o
			other.InboundPort = 15106
			var err error
			f.pod.Do(func() { err = Validate(t.Context(), other, []Family{IPv4}, shellProbe(f.pod, 5)) })
			if !errors.Is(err, ErrValidation) || !strings.Contains(fmt.Sprint(err), "IPv4: inbound") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestValidateNeedsThePorts(t *testing.T) {
	f := newFixture(t)
	l := f.pod.Listen("tcp4", "0.0.0.0:15001")
	f.applyOn(systemHost(), Default(), IPv4)
	var err error
	f.pod.Do(func() { err = Validate(t.Context(), Default(), []Family{IPv4}, shellProbe(f.pod, 5)) })
	if !errors.Is(err, ErrValidation) || !strings.Contains(fmt.Sprint(err), "before the proxy starts") {
		t.Errorf("with %s taken: %v", l.Addr().(*net.TCPAddr), err)
	}
}

// TestValidateWithoutIPv6Address: ::1 alone is no IPv6 to validate, and no
// reason to fail either.
func TestValidateWithoutIPv6Address(t *testing.T) {
	n := testnet.New(t)
	f := &fixture{t: t, pod: n.Host("pod"), client: n.Host("client")}
	n.Link(f.pod, "10.4.0.5/24", f.client, "10.4.0.9/24")
	f.applyOn(systemHost(), Default(), IPv4, IPv6)
	var err error
	f.pod.Do(func() { err = Validate(t.Context(), Default(), []Family{IPv4, IPv6}, shellProbe(f.pod, 5)) })
	if err != nil {
		t.Error(err)
	}
}
