package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/proxy"
)

// idsApart is how far above those of the process before this one's connection IDs
// begin: that one gives some until this one accepts.
const idsApart = 1 << 20

// meet finds the process to take over from, if there is one, and gets its listening
// sockets. It goes on as before until accept.
func (d *Daemon) meet() error {
	u := &d.options.Upgrade
	if u.From == "" {
		return nil
	}
	taker, err := handover.Dial(d.reloads.ctx, u.From, d.sayHello())
	if err != nil {
		if absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, sock.ECONNREFUSED); absent && !u.Must {
			d.log.Info("no process to take over from", zap.String("socket", u.From))
			return nil
		}
		return fmt.Errorf("taking over: %w", err)
	}
	sockets, err := taker.Listeners()
	if err != nil {
		taker.Close()
		return fmt.Errorf("taking over: %w", err)
	}
	peer := taker.Peer()
	d.log.Info("taking over from a running process", zap.String("version", peer.Version),
		zap.Bool("same_configuration", peer.Configuration == d.configurationHash()), zap.Int("sockets", len(sockets)))
	d.inherited.closeRest(d.log) // that process has them too
	d.inherited = inherit(sockets)
	d.keeping.inheritFrom()
	d.epoch, d.began = peer.Epoch+1, peer.Began
	d.unready.Store(peer.Unready)
	d.around.ContinueIDs(peer.LastID + idsApart)
	d.before = taker
	return nil
}

// succeed has the process before stop accepting: from here on this one does. With an
// error nothing has changed for anybody.
func (d *Daemon) succeed() error {
	if d.before == nil {
		return nil
	}
	if err := d.before.Ready(d.inherited.kept()); err != nil {
		return fmt.Errorf("taking over: %w", err)
	}
	return nil
}

// stay lets the process before go on alone: this one has failed, or was told to end,
// before it could take over.
func (d *Daemon) stay() {
	if d.before == nil {
		return
	}
	for _, s := range d.servers {
		s.Share()
	}
	d.before.Close()
}

// takeConnections goes on with the connections of the process before. Meanwhile no
// reload begins.
func (d *Daemon) takeConnections() {
	if d.before == nil {
		return
	}
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	taker := d.before
	defer taker.Close()
	stop := context.AfterFunc(d.reloads.ctx, taker.Interrupt)
	defer stop()
	err := d.takeBatches()
	taken := zap.Uint64("connections", d.taken.Load())
	switch {
	case err == nil:
		d.onLoops(d.acceptors, (*listener.Acceptor).Alone)
		d.log.Info("taken over", taken)
	case d.reloads.ctx.Err() != nil:
		d.log.Info("ending before all connections were taken over", taken)
	case errors.Is(err, handover.ErrOff):
		d.log.Error("the process before goes on by itself; this one serves what it has taken, and ends", taken, zap.Error(err))
		d.withdraw()
	default:
		d.log.Error("the process before is gone, and what it still had with it, unless a store has it; this one goes on", taken, zap.Error(err))
		d.onLoops(d.acceptors, (*listener.Acceptor).Alone)
		d.keeping.takeRest()
	}
}

// takeBatches returns nil when the process before has no more.
func (d *Daemon) takeBatches() error {
	for {
		batch, err := d.before.Connections()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		ids := make([]uint64, 0, len(batch))
		wanted := batch[:0]
		for _, c := range batch {
			if err := proxy.CheckImport(&c); err != nil {
				d.log.Warn("a connection stays with the process before", zap.Error(err))
				continue
			}
			ids, wanted = append(ids, c.ID), append(wanted, c)
		}
		if err := d.before.Acknowledge(ids); err != nil {
			return err
		}
		d.taken.Add(uint64(len(wanted)))
		d.importAll(wanted, d.snapshot.Load().homes)
	}
}

// importAll divides connections among the loops, the least loaded first. It owns
// their descriptors.
func (d *Daemon) importAll(list []handover.Connection, homes *proxy.Homes) {
	shares := make([][]handover.Connection, len(d.loops))
	for _, c := range list {
		least := 0
		for number := range d.loops {
			if d.carries(number, shares) < d.carries(least, shares) {
				least = number
			}
		}
		shares[least] = append(shares[least], c)
	}
	for number, loop := range d.loops {
		if len(shares[number]) == 0 {
			continue
		}
		loop.Do(func() {
			for i := range shares[number] {
				c := &shares[number][i]
				if err := d.workers[number].Import(c, homes); err != nil {
					d.log.Error("a connection is lost; it is reset", zap.Error(err))
					sock.Reset(c.Downstream)
					sock.Reset(c.Upstream)
				}
			}
		})
	}
}

// carries is what a loop will carry with its share.
func (d *Daemon) carries(number int, shares [][]handover.Connection) int64 {
	return d.loops[number].Load() + int64(len(shares[number]))
}
