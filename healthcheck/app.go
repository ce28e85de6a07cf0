package healthcheck

import (
	"net/netip"
	"strings"

	"github.com/sluiceproxy/sluice/config"
)

// App knows whether the application behind a sidecar serves its ports: it
// connects to them itself. The readiness port answers with it at
// /app-health/PORT, where the health checks of other hosts ask: their
// connections end at the sidecar, which is there also when the application is
// not.
type App struct {
	ports map[uint16]appPort
}

// appPort is the checks of one port: a target for each address, of which one
// has to be healthy.
type appPort struct {
	group   *Group
	targets []Target
}

// NewApp begins to check ports (config.AppHealthPorts). Of o, Dial and HostFault
// count. Dial must not be captured by the sidecar's own rules: it connects from
// the address by which they know the sidecar's connections to the application
// (127.0.0.6, ::6). Any thread.
func NewApp(c *Checker, ports []config.AppHealthPort, o GroupOptions) *App {
	a := &App{ports: make(map[uint16]appPort, len(ports))}
	for i := range ports {
		p := &ports[i]
		made := appPort{group: c.NewGroup("app", []config.HealthCheck{p.Check}, GroupOptions{
			Dial: o.Dial, HostFault: o.HostFault, Skipped: o.Skipped,
		})}
		for id, address := range addresses(p) {
			made.targets = append(made.targets, Target{ID: int32(id), Address: address, Host: "localhost"})
		}
		made.group.Set(made.targets)
		a.ports[p.Port] = made
	}
	return a
}

// addresses are where an application may listen: on this host, in either family.
func addresses(p *config.AppHealthPort) []netip.AddrPort {
	if p.Address.IsValid() {
		return []netip.AddrPort{p.Address}
	}
	port := p.Port
	if p.Check.Port != 0 {
		port = p.Check.Port
	}
	return []netip.AddrPort{
		netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port),
		netip.AddrPortFrom(netip.IPv6Loopback(), port),
	}
}

// Status says how a port of the application is: whether it is one that is
// checked, whether it serves, and if not, why. Any thread.
func (a *App) Status(port uint16) (ok bool, reason string, known bool) {
	p, known := a.ports[port]
	if !known {
		return false, "", false
	}
	var reasons []string
	for _, t := range p.targets {
		switch v := p.group.Verdict(t.ID); v.State {
		case Healthy, Degraded:
			return true, "", true
		case Unhealthy:
			reasons = append(reasons, t.Address.String()+": "+v.Reason)
		default:
			reasons = append(reasons, t.Address.String()+": not checked yet")
		}
	}
	return false, strings.Join(reasons, "; "), true
}

// Close ends the checks.
func (a *App) Close() {
	for _, p := range a.ports {
		p.group.Close()
	}
}
