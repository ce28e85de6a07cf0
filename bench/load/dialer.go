package load

import (
	"net/netip"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/internal/sock"
)

// dialer dials the target. Closed connections rest in TIME_WAIT at the side that
// closed first, and their ports with them, for a minute or, where
// net.ipv4.tcp_tw_reuse allows it (on loopback it does by default), a second. Of
// 28,000 ports the kernel tries one half first, so that from 14,000 connections a
// second on each connect(2) searches all of that half: measured, it took half of
// the generator's time. For new connections to a target on 127.0.0.0/8 the dialer
// therefore takes turns with other addresses of that net, each of which has ports
// of its own.
type dialer struct {
	target  netip.AddrPort
	options sock.DialOptions
	turn    byte // 0 = the kernel chooses the source
}

// sources is how many addresses are dialled from, 127.0.0.2 and on.
const sources = 64

func newDialer(p *plan) dialer {
	d := dialer{target: p.target}
	addr := p.target.Addr()
	if p.load.Kind == bench.Connections && p.load.Ending == bench.FIN && addr.Is4() && addr.IsLoopback() {
		d.turn = 1
	}
	return d
}

func (d *dialer) dial() (int, sock.Errno) {
	if d.turn > 0 {
		d.nextSource()
	}
	fd, err := sock.Dial(d.target, &d.options)
	if err == nil {
		return fd, 0
	}
	return -1, sock.ErrnoOf(err)
}

func (d *dialer) nextSource() {
	d.turn = d.turn%sources + 1
	d.options.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1 + d.turn}), 0)
}
