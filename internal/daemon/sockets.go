package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/listener"
)

// addressTime bounds the wait for an address that a process before still uses.
const addressTime = time.Second

// errNoListener means that every listener's address family is missing here.
var errNoListener = errors.New("no listener could be bound")

// bind makes the listening sockets of all loops. Nothing is accepted yet.
func (d *Daemon) bind() error {
	wanted := 0
	d.acceptors = make([][]*listener.Acceptor, len(d.loops))
	for _, ln := range d.snapshot.Load().table.Listeners() {
		if !ln.Config.Bind {
			continue
		}
		wanted++
		acceptors, err := d.bindListener(ln)
		if err != nil {
			return err
		}
		for _, a := range acceptors {
			d.acceptors[a.Loop()] = append(d.acceptors[a.Loop()], a)
		}
	}
	if wanted > 0 && len(d.acceptors[0]) == 0 {
		return errNoListener
	}
	return nil
}

// ipv6Missing says whether err is for want of IPv6: EADDRNOTAVAIL alone may be a
// wrong address, unless this host has not even ::1 (net.ipv6.conf.*.disable_ipv6).
func ipv6Missing(err error) bool {
	return errors.Is(err, sock.EAFNOSUPPORT) ||
		errors.Is(err, sock.EADDRNOTAVAIL) && sock.Probe(netip.AddrPortFrom(netip.IPv6Loopback(), 0)) != nil
}

// bindListener makes one socket for each loop, those that were inherited first;
// none where the host has no IPv6.
// SO_REUSEPORT would let a second daemon of the same user share the port
// unnoticed, and each would get half of the connections: the address is tried
// without it first.
func (d *Daemon) bindListener(ln *listener.Listener) ([]*listener.Acceptor, error) {
	made, err := d.adopt(ln, d.inherited.traffic(ln))
	if err != nil {
		return nil, err
	}
	if len(made) > 0 {
		return d.complete(ln, made)
	}
	err = d.probe(ln.Config.Address)
	if ln.Config.Address.Addr().Is6() && ipv6Missing(err) {
		d.log.Warn("this host has no IPv6; the listener is left out", zap.String("listener", ln.Config.Name), zap.Error(err))
		return nil, nil
	}
	if err != nil {
		return nil, bindError(ln.Config, err)
	}
	return d.complete(ln, nil)
}

// probe is sock.Probe, with patience for a process before that has the address and is
// just closing its sockets.
func (d *Daemon) probe(address netip.AddrPort) error {
	err := sock.Probe(address)
	if d.before == nil {
		return err
	}
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for began := time.Now(); errors.Is(err, sock.EADDRINUSE) && time.Since(began) < addressTime; {
		<-poll.C
		err = sock.Probe(address)
	}
	return err
}

// complete makes sockets for the loops that have none among those that are made.
// Where nobody may bind beside an inherited one, its loop accepts for all.
func (d *Daemon) complete(ln *listener.Listener, made []*listener.Acceptor) ([]*listener.Acceptor, error) {
	create := listener.NewAcceptor
	if len(made) > 0 {
		if !sock.SharesPort(made[0].Descriptor()) {
			return made, nil
		}
		create = listener.NewAcceptorBeside
	}
	for number := len(made); number < len(d.loops); number++ {
		acceptor, err := create(ln, d.entrance, number)
		if err != nil {
			closeAcceptors(made)
			return nil, bindError(ln.Config, err)
		}
		made = append(made, acceptor)
	}
	return made, nil
}

// closeAcceptors closes sockets that were never opened.
func closeAcceptors(list []*listener.Acceptor) {
	for _, a := range list {
		a.Close()
	}
}

// bindError says what to do about a socket that could not be made.
func bindError(cfg *config.Listener, err error) error {
	hint := ""
	var failed *sock.Error
	if errors.As(err, &failed) {
		port := cfg.Address.Port()
		switch {
		case failed.Errno == sock.EADDRINUSE:
			hint = fmt.Sprintf("; find who holds it with: ss -ltnp 'sport = :%d'", port)
		case failed.Errno == sock.EADDRNOTAVAIL:
			hint = "; it is no address of this host: see ip addr"
		case failed.Op == "IP_TRANSPARENT":
			hint = "; interception_mode tproxy needs the capability CAP_NET_RAW (before Linux 5.17 CAP_NET_ADMIN): " +
				"grant it (setpriv --ambient-caps +net_raw, AmbientCapabilities= in systemd) or use interception_mode redirect"
		case failed.Errno == sock.EACCES && port < 1024:
			hint = "; ports below 1024 need the capability CAP_NET_BIND_SERVICE"
		}
	}
	return fmt.Errorf("listener %s: %w%s", cfg.Name, err, hint)
}

// accept opens all listening sockets.
func (d *Daemon) accept() error { return d.openAll(d.acceptors) }

// openAll starts accepting on the sockets of each loop.
func (d *Daemon) openAll(acceptors [][]*listener.Acceptor) error {
	for number, loop := range d.loops {
		var failed error
		loop.Do(func() {
			for _, acceptor := range acceptors[number] {
				if err := acceptor.Open(); err != nil && failed == nil {
					failed = fmt.Errorf("listener %s: watching its socket: %w", acceptor.Listener.Config.Name, err)
				}
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}
