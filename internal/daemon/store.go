package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/proxy"
)

const (
	// sweepEvery is how often connections are looked for that are to be stored.
	sweepEvery = 500 * time.Millisecond

	// reopenEvery is how often a store that is gone is tried again.
	reopenEvery = time.Second

	// offerEvery is how often a store is offered again what it has refused, if it has
	// dropped something since.
	offerEvery = 2 * time.Second

	// refusedEvery is how often the log says that a store refuses something.
	refusedEvery = time.Minute

	// settleTime bounds the wait until the store has what it was to get, where the
	// order matters; and the wait at the end.
	settleTime = 2 * time.Second
)

// keeping has a store keep the daemon's sockets, so that they survive its crash
// (docs/upgrade.md). The store may be slow, or gone: only run waits for it, and all
// that run does can be lost without harm to anything but that survival. The methods
// of a nil keeping, that of a daemon without a store, do nothing.
type keeping struct {
	daemon *Daemon
	queue  *proxy.StoreQueue
	ctx    context.Context
	cancel context.CancelFunc

	// heir says that the connections in the store are relayed by a process that
	// lives, and hands them over itself: they are not to be recovered.
	heir bool

	running atomic.Bool
	paused  atomic.Bool
	calls   chan func()   // for run to do when all of before is done
	over    chan struct{} // run has returned

	// Those of run, and before it of whoever starts the daemon.
	found   []handover.Entry // connections that are to be recovered
	sockets []handover.ListenerSocket
	taken   bool // the store was asked for what it has
	pending []proxy.StoreOp
	refused map[string]bool // by name: entries that are not in the store
	freed   int             // entries that it has dropped since it was offered those again
	offered time.Time       // when it was
	told    time.Time       // when the log has said that it refuses something
	tried   time.Time       // to open the store
	ended   bool

	mu        sync.Mutex // guards what follows
	store     handover.Store
	wanted    [][][]*listener.Acceptor // whose sockets are to be stored, see keepOnly
	listening map[string]bool          // by name: what the store was given of them

	connected         atomic.Bool
	failures, missing atomic.Int64 // missing: how many are refused
	recovered, reset  atomic.Int64
}

// newKeeping is nil for a daemon that has no store.
func newKeeping(d *Daemon) *keeping {
	if d.options.Store == nil {
		return nil
	}
	k := &keeping{
		daemon: d, queue: proxy.NewStoreQueue(), calls: make(chan func(), 4), over: make(chan struct{}),
		refused: make(map[string]bool), listening: make(map[string]bool),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// storeQueue is where the loops say what is to be stored.
func (k *keeping) storeQueue() *proxy.StoreQueue {
	if k == nil {
		return nil
	}
	return k.queue
}

// start begins to store what there is. The daemon accepts.
func (k *keeping) start(acceptors [][]*listener.Acceptor) {
	if k == nil {
		return
	}
	k.keepOnly(acceptors)
	k.running.Store(true)
	go k.run()
}

// run talks to the store until finish.
func (k *keeping) run() {
	defer close(k.over)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for !k.ended {
		select {
		case call := <-k.calls:
			k.apply()
			call()
		case <-k.queue.Ready():
			k.apply()
		case <-tick.C:
			k.tend()
		}
	}
	k.forgetPuts()
	k.shut()
}

// tend does what is to be done from time to time.
func (k *keeping) tend() {
	if k.paused.Load() {
		return
	}
	if store := k.current(); store != nil {
		if err := store.Alive(); err != nil {
			k.lose(err)
			return
		}
	} else if !k.reopen() {
		return
	}
	k.offerAgain()
	table := k.daemon.snapshot.Load().table
	for number, loop := range k.daemon.loops {
		worker := k.daemon.workers[number]
		for more := true; more && k.current() != nil && len(k.calls) == 0; {
			more = false
			loop.Do(func() { more = worker.Enrol(table) })
			k.apply()
		}
	}
}

// apply does what the loops have asked for, in order. What the store cannot be told
// waits until it is back, as far as it has to.
func (k *keeping) apply() {
	k.pending = k.withoutVoid(append(k.pending, k.queue.Take()...))
	for len(k.pending) > 0 {
		store := k.current()
		if store == nil {
			k.forgetPuts()
			return
		}
		op := k.pending[0]
		if err := k.do(store, op); err != nil {
			k.lose(err)
			continue
		}
		k.queue.Close(op)
		k.pending = k.pending[1:]
	}
	k.pending = nil
}

// do is one thing for the store to do. An error says that the store is gone.
func (k *keeping) do(store handover.Store, op proxy.StoreOp) error {
	if op.Put == nil {
		if !k.refused[op.Name] {
			k.freed++
		}
		delete(k.refused, op.Name)
		k.missing.Store(int64(len(k.refused)))
		return store.Drop(op.Name)
	}
	err := store.Put(*op.Put)
	if !errors.Is(err, handover.ErrRefused) {
		return err
	}
	if k.failures.Add(1); time.Since(k.told) >= refusedEvery {
		k.told = time.Now()
		k.daemon.log.Warn("the store does not take everything; some connections will not survive a crash", zap.Error(err))
	}
	k.refused[op.Name] = true
	k.missing.Store(int64(len(k.refused)))
	return nil
}

// offerAgain has as much stored of what the store has refused as it has room for now.
func (k *keeping) offerAgain() {
	if len(k.refused) == 0 || k.freed == 0 || time.Since(k.offered) < offerEvery {
		return
	}
	cookies := make(map[uint64]bool) // of connections
	k.mu.Lock()
	for name := range k.refused {
		if k.freed--; k.freed < 0 {
			break
		}
		delete(k.refused, name)
		delete(k.listening, name)
		cookies[handover.EntryCookie(name)] = true
	}
	k.mu.Unlock()
	k.freed, k.offered = 0, time.Now()
	for number, loop := range k.daemon.loops {
		loop.Do(func() { k.daemon.workers[number].NotStored(cookies) })
	}
	k.missing.Store(int64(len(k.refused)))
	k.storeListeners()
	k.apply()
}

// withoutVoid leaves out what is put only to be dropped.
func (k *keeping) withoutVoid(ops []proxy.StoreOp) []proxy.StoreOp {
	dropped := make(map[string]bool)
	var kept []proxy.StoreOp
	for _, op := range slices.Backward(ops) {
		switch {
		case op.Put == nil:
			dropped[op.Name] = true
		case dropped[op.Name]:
			k.queue.Close(op)
			continue
		}
		kept = append(kept, op)
	}
	slices.Reverse(kept)
	return kept
}

// forgetPuts leaves only what is to be dropped: when the store is back, everything
// that still lives is put anew.
func (k *keeping) forgetPuts() {
	kept := k.pending[:0]
	for _, op := range k.pending {
		if op.Put == nil {
			kept = append(kept, op)
		} else {
			k.queue.Close(op)
		}
	}
	k.pending = kept
}

// lose notes that the store is gone.
func (k *keeping) lose(err error) {
	k.shut()
	k.failures.Add(1)
	if !k.ended {
		k.daemon.log.Warn("the store for sockets is gone; trying to reach it again", zap.Error(err))
	}
}

// current is the store; nil: it is gone.
func (k *keeping) current() handover.Store {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.store
}

// shut ends the use of the store.
func (k *keeping) shut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.store != nil {
		_ = k.store.Close() // nothing was left to be written
		k.store = nil
	}
	k.connected.Store(false)
}

// settle waits until the store has done what was asked of it so far. False: it has
// not in time.
func (k *keeping) settle() bool { return k.call(func() {}) }

// call has run do something when all that was asked of the store is done.
func (k *keeping) call(do func()) bool {
	if !k.running.Load() {
		return true
	}
	late := time.NewTimer(settleTime)
	defer late.Stop()
	done := make(chan struct{})
	select {
	case k.calls <- func() { do(); close(done) }:
	case <-k.over:
		return true
	case <-late.C:
		return false
	}
	select {
	case <-done:
		return true
	case <-k.over:
		return true
	case <-late.C:
		return false
	}
}

// pause leaves the store alone, because another process is about to take the
// sockets: it drops by itself what it closes, and what this one put later would stay
// for ever. Everything that was to be stored is, or never will be. What this process
// closes is dropped all the same, but for its listening sockets.
func (k *keeping) pause() {
	if k == nil {
		return
	}
	if k.paused.Store(true); !k.settle() {
		k.shut() // run gives up what it waits for, and its puts
	}
}

// resume ends a pause: the other process has not taken the sockets.
func (k *keeping) resume() {
	if k != nil {
		k.paused.Store(false)
	}
}

// finish has everything dropped that this daemon has closed, and ends. The loops have
// stopped. A store that does not answer is left alone soon.
func (k *keeping) finish() {
	if k == nil {
		return
	}
	defer k.cancel()
	if !k.running.Load() {
		k.giveUp()
		return
	}
	if !k.paused.Load() {
		k.wantListeners()
	}
	if k.call(func() { k.ended = true }) {
		<-k.over
		return
	}
	k.daemon.log.Warn("the store for sockets does not answer; what it has stays there")
	k.shut()
}
