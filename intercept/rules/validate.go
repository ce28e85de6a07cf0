package rules

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Prober makes a client, not started yet: a process of the given user and
// group, in the calling thread's network namespace, that connects to target
// and prints on stdout what it reads until the end. The owner matches of the
// rules see the user of the process, hence a process.
type Prober func(ctx context.Context, uid, gid uint32, target netip.AddrPort) *exec.Cmd

// probeTimeout bounds one connection, which goes over lo.
const probeTimeout = 5 * time.Second

// check is one connection and where it has to arrive.
type check struct {
	name     string
	uid, gid uint32
	target   netip.AddrPort // where the client wants to go
	capture  uint16         // the port that must get the connection instead
}

// Validate proves the rules that are installed: it listens on the capture
// ports in the proxy's place, sends an outbound and an inbound connection for
// each family through the kernel, as Istio's validator does, and compares the
// original destination that arrives. Inbound connections cannot come from
// outside here; the proxy's own to its pod takes their way. The error wraps
// ErrValidation; the rules stay as they are.
func Validate(ctx context.Context, o Options, families []Family, probe Prober) error {
	for _, f := range families {
		if err := validateFamily(ctx, o, f, probe); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrValidation, f, err)
		}
	}
	return nil
}

func validateFamily(ctx context.Context, o Options, f Family, probe Prober) error {
	local, err := localAddrs(f)
	if err != nil {
		return err
	}
	checks, err := o.checks(f, local)
	if err != nil {
		return err
	}
	for _, c := range checks {
		l, err := listenCapture(f, c.capture, o.Mode == TProxy && c.capture == o.InboundPort)
		if err != nil {
			return err
		}
		err = c.run(ctx, probe)
		l.close()
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func (c check) run(ctx context.Context, probe Prober) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := probe(ctx, c.uid, c.gid, c.target)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("a connection of uid %d gid %d to %s did not arrive at port %d: %w: %s",
			c.uid, c.gid, c.target, c.capture, err, strings.TrimSpace(stderr.String()))
	}
	if got, want := strings.TrimSpace(stdout.String()), arrival(c.capture, c.target.String()); got != want {
		return fmt.Errorf("a connection of uid %d gid %d to %s arrived as %q, not as %q",
			c.uid, c.gid, c.target, got, want)
	}
	return nil
}

// arrival is what the capture listener answers.
func arrival(port uint16, originalDst string) string {
	return fmt.Sprintf("port %d original destination %s", port, originalDst)
}

func (o Options) checks(f Family, local []localAddr) ([]check, error) {
	var checks []check
	if o.capturesOutbound(f) && reachesOut(f, local) {
		target, err := o.outboundTarget(f, local)
		if err != nil {
			return nil, err
		}
		uid, gid := o.applicationIDs()
		checks = append(checks, check{"outbound", uid, gid, target, o.OutboundPort})
	}
	if addr, ok := inboundAddr(f, local); ok && !o.InboundPorts.None() {
		uid, gid := o.proxyIDs()
		target := netip.AddrPortFrom(addr, o.inboundProbePort())
		checks = append(checks, check{"inbound", uid, gid, target, o.InboundPort})
	}
	return checks, nil
}

// capturesOutbound reports whether anything of the family is captured.
func (o Options) capturesOutbound(f Family) bool {
	return o.OutboundPrefixes.All || len(o.OutboundPorts) > 0 || len(ofFamily(o.OutboundPrefixes.Prefixes, f)) > 0
}

// applicationIDs are a user and a group that the rules do not exempt.
func (o Options) applicationIDs() (uid, gid uint32) { return freeID(o.ProxyUIDs), freeID(o.ProxyGIDs) }

// proxyIDs are a user and a group of which the rules exempt at least one.
func (o Options) proxyIDs() (uid, gid uint32) {
	uid, gid = o.applicationIDs()
	if len(o.ProxyUIDs) > 0 {
		uid = o.ProxyUIDs[0]
	}
	if len(o.ProxyGIDs) > 0 {
		gid = o.ProxyGIDs[0]
	}
	return uid, gid
}

// freeID prefers 0: the process has it, and nothing must be switched.
func freeID(taken []uint32) uint32 {
	for id := uint32(0); ; id++ {
		if !slices.Contains(taken, id) {
			return id
		}
	}
}

// freePort is a port that none of the lists names.
func freePort(lists ...[]uint16) uint16 {
	const first = 15002 // istio-iptables' --iptables-probe-port
	for port := uint16(first); ; port++ {
		if !slices.ContainsFunc(lists, func(l []uint16) bool { return slices.Contains(l, port) }) {
			return port
		}
	}
}

func (o Options) inboundProbePort() uint16 {
	for _, port := range o.InboundPorts.Ports {
		if !slices.Contains(o.InboundExclude, port) && !slices.Contains(ownInboundPorts(), port) {
			return port
		}
	}
	return freePort(o.InboundExclude, o.OutboundExcludePorts, ownInboundPorts(), []uint16{o.InboundPort, o.OutboundPort})
}
