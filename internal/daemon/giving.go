package daemon

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/systemd"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/proxy"
)

const (
	// giveTime bounds the wait for connections that cannot be handed over yet. The
	// new process waits a minute.
	giveTime = 30 * time.Second

	// giveBatch is how many connections go at a time: each pauses for as long as
	// all of them take.
	giveBatch = 64

	// givePoll is how long to wait for them at a time.
	givePoll = 5 * time.Millisecond
)

// handOver gives everything that another process wants to it. After an error this
// one goes on with what it still has, and accepts.
func (d *Daemon) handOver(g *handover.Giver) error {
	defer g.Close()
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	if d.state.Load() != live || d.drained.Load() {
		return errNotServing
	}
	if pid := g.PeerProcess(); os.Getpid() == 1 && pid > 0 {
		return errFirst
	}
	stop := context.AfterFunc(d.reloads.ctx, func() { g.Close() })
	defer stop()
	began := time.Now()
	d.log.Info("handing over", zap.String("version", g.Peer().Version), zap.Int("process", g.PeerProcess()))
	shared, err := d.offer(g)
	if err != nil {
		return err
	}
	d.keeping.pause()
	d.onLoops(shared, (*listener.Acceptor).Suspend)
	gave, err := d.giveConnections(g)
	if err == nil {
		err = g.Done()
	}
	if err != nil {
		_ = g.CallOff() // it may be gone
		d.resume(shared)
		d.keeping.resume()
		return fmt.Errorf("after %d connections: %w", gave.connections, err)
	}
	d.state.Store(draining)
	d.keeping.leaveTo(shared)
	d.onLoops(shared, (*listener.Acceptor).Close)
	d.log.Info("handed over", zap.Duration("after", time.Since(began)), zap.Int("connections", gave.connections),
		zap.Int64("left", gave.left), zap.Duration("longest_pause", gave.pause))
	if pid := g.PeerProcess(); pid > 0 {
		d.tell("MAINPID", func(n *systemd.Notifier) error { return n.MainProcess(pid) })
	}
	d.left <- d.snapshot.Load().Config.Drain.Time
	return nil
}

// offer gives duplicates of all listening sockets, and waits until the other process
// is ready. It returns, by loop, those from which that one accepts.
func (d *Daemon) offer(g *handover.Giver) (shared [][]*listener.Acceptor, err error) {
	var sockets []handover.ListenerSocket
	var from []*listener.Acceptor // by place in sockets; HTTP ports have none
	for number := range d.loops {
		for _, a := range d.acceptors[number] {
			sockets = append(sockets, handover.ListenerSocket{
				Listener: a.Listener.Config.Name, Address: a.Listener.Config.Address, Loop: number,
				Kind: handover.Traffic, Kept: a.Kept(), FD: a.Descriptor(),
			})
			from = append(from, a)
		}
	}
	for _, s := range d.servers {
		fd, err := s.Descriptor()
		if err != nil {
			return nil, err
		}
		defer sock.Close(fd)
		sockets = append(sockets, handover.ListenerSocket{Listener: s.Address(), Kind: kindOf(s), FD: fd})
	}
	if err := g.SendListeners(sockets); err != nil {
		return nil, err
	}
	kept, err := g.WaitReady()
	if err != nil {
		return nil, err
	}
	shared = make([][]*listener.Acceptor, len(d.loops))
	for _, place := range kept {
		if place < len(from) {
			a := from[place]
			shared[a.Loop()] = append(shared[a.Loop()], a)
		} else {
			d.servers[place-len(from)].Share()
		}
	}
	return shared, nil
}

// onLoops does something with acceptors, each on its loop.
func (d *Daemon) onLoops(acceptors [][]*listener.Acceptor, do func(*listener.Acceptor)) {
	for number, loop := range d.loops {
		loop.Do(func() {
			for _, a := range acceptors[number] {
				do(a)
			}
		})
	}
}

// resume accepts again.
func (d *Daemon) resume(acceptors [][]*listener.Acceptor) {
	if err := d.openAll(acceptors); err != nil {
		d.log.Error("upgrade: a listener does not accept again on every loop", zap.Error(err))
	}
}

// given is what became of the live connections.
type given struct {
	connections int
	left        int64
	pause       time.Duration // the longest of a batch, to where the other process has it
}

// giveConnections hands live connections over, batch by batch, so that each pauses
// for its own batch only; also those that become ready for it within giveTime, such
// as one whose first bytes are waited for.
func (d *Daemon) giveConnections(g *handover.Giver) (gave given, err error) {
	refused := make(map[uint64]bool)
	deadline := time.Now().Add(min(giveTime, d.snapshot.Load().Config.Drain.Time))
	for {
		began := time.Now()
		batch := d.export()
		taken, err := g.SendConnections(batch.connections())
		gave.connections += len(taken)
		gave.pause = max(gave.pause, time.Since(began))
		fresh := batch.takeBack(d, taken, refused)
		if err != nil {
			return gave, err
		}
		gave.left = d.around.Limits.Active()
		if len(taken) > 0 || fresh {
			continue
		}
		if gave.left <= int64(len(refused)) || time.Now().After(deadline) {
			return gave, nil
		}
		if d.reloads.ctx.Err() != nil {
			return gave, errNotServing
		}
		time.Sleep(givePoll)
	}
}

// exports are connections that are on their way out, by loop.
type exports [][]proxy.Exported

// export takes some connections off the loops.
func (d *Daemon) export() exports {
	list := make(exports, len(d.loops))
	table := d.snapshot.Load().table
	for number, loop := range d.loops {
		loop.Do(func() { list[number] = d.workers[number].Export(max(giveBatch/len(d.loops), 1), table) })
	}
	return list
}

func (e exports) connections() []handover.Connection {
	var list []handover.Connection
	for _, some := range e {
		for i := range some {
			list = append(list, some[i].Connection)
		}
	}
	return list
}

// takeBack has the loops go on with those that were not taken. It notes them as
// refused, and says whether one was not known for that.
func (e exports) takeBack(d *Daemon, taken []uint64, refused map[uint64]bool) (fresh bool) {
	gone := make(map[uint64]bool, len(taken))
	for _, id := range taken {
		gone[id] = true
	}
	for number, loop := range d.loops {
		back := e[number][:0]
		for _, c := range e[number] {
			if !gone[c.ID] {
				fresh = fresh || !refused[c.ID]
				refused[c.ID] = true
				back = append(back, c)
			}
		}
		if len(back) > 0 {
			loop.Do(func() {
				for i := range back {
					d.workers[number].TakeBack(back[i])
				}
			})
		}
	}
	return fresh
}
