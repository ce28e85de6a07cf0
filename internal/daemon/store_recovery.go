package daemon

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
)

// begin opens the store, and takes what a process that was killed has left there. A
// store that cannot be reached is no reason not to serve; one that another daemon
// uses is.
func (k *keeping) begin() error {
	if k == nil {
		return nil
	}
	switch err := k.open(); {
	case errors.Is(err, handover.ErrInUse):
		return err
	case err != nil:
		k.failures.Add(1)
		k.daemon.log.Warn("the store for sockets cannot be reached; trying again while serving", zap.Error(err))
	}
	return nil
}

func (k *keeping) open() error {
	k.tried = time.Now()
	store, err := k.daemon.options.Store(k.ctx)
	if err != nil {
		return err
	}
	if !k.taken && !k.heir {
		entries, err := store.Take()
		if err != nil {
			_ = store.Close() // the error of Take says more
			return fmt.Errorf("taking what the store has: %w", err)
		}
		k.sort(entries)
	}
	k.taken = true
	k.mu.Lock()
	defer k.mu.Unlock()
	k.store = store
	k.connected.Store(true)
	return nil
}

// sort divides what the store had into connections and listening sockets.
func (k *keeping) sort(entries []handover.Entry) {
	for i := range entries {
		e := &entries[i]
		if !e.IsListener() {
			k.found = append(k.found, *e)
			continue
		}
		socket, err := handover.RecoverListener(e)
		if err != nil {
			k.daemon.log.Warn("a listening socket in the store is of no use", zap.Error(err))
			sock.CloseAll(e.Descriptors)
			k.queue.Drop(e.Name)
			continue
		}
		k.sockets = append(k.sockets, socket)
	}
}

// reopen tries to reach a store that is gone, now and then, and gives it everything
// anew: it may be another one.
func (k *keeping) reopen() bool {
	if time.Since(k.tried) < reopenEvery {
		return false
	}
	if err := k.open(); err != nil {
		return false
	}
	k.daemon.log.Info("the store for sockets can be reached")
	for _, l := range k.sockets { // it was found late: the addresses are bound already
		if cookie, errno := sock.Cookie(l.FD); errno == 0 {
			k.queue.Drop(handover.ListenerName(cookie))
		}
		sock.Disconnect(l.FD)
		sock.Close(l.FD)
	}
	k.sockets = nil
	k.recover()
	for number, loop := range k.daemon.loops {
		loop.Do(k.daemon.workers[number].ForgetStore)
	}
	clear(k.refused)
	k.missing.Store(0)
	k.mu.Lock()
	clear(k.listening)
	k.mu.Unlock()
	k.storeListeners()
	k.apply()
	return k.current() != nil
}

// recover goes on with the connections of a process that was killed, and resets
// those of which bytes are missing. The clusters know their endpoints.
func (k *keeping) recover() {
	if k == nil || len(k.found) == 0 {
		return
	}
	began := time.Now()
	for i := range k.found {
		e := &k.found[i]
		err := k.recoverOne(e)
		if err == nil {
			k.recovered.Add(1)
			continue
		}
		k.reset.Add(1)
		k.daemon.log.Debug("a connection of a process that was killed cannot go on; it is reset", zap.Error(err))
		e.Discard()
		k.queue.Drop(e.Name)
	}
	k.found = nil
	k.apply()
	k.daemon.log.Info("took up the connections of a process that was killed", zap.Int64("recovered", k.recovered.Load()),
		zap.Int64("reset", k.reset.Load()), zap.Duration("within", time.Since(began)))
}

// inheritFrom says that the process before lives, and hands the connections in the
// store over itself.
func (k *keeping) inheritFrom() {
	if k != nil {
		k.heir = true
	}
}

// takeRest goes on with what a process before had in the store that died while it
// handed over: all connections there that this one does not relay.
func (k *keeping) takeRest() {
	if k == nil {
		return
	}
	k.call(func() {
		store := k.current()
		if store == nil {
			return
		}
		entries, err := store.Take()
		if err != nil {
			k.daemon.log.Warn("what the process before had in the store is not taken up", zap.Error(err))
			return
		}
		own := make(map[string]bool)
		for number, loop := range k.daemon.loops {
			loop.Do(func() { k.daemon.workers[number].AddStored(own) })
		}
		for i := range entries {
			if e := &entries[i]; e.IsListener() || own[e.Name] {
				sock.CloseAll(e.Descriptors)
			} else {
				k.found = append(k.found, *e)
			}
		}
		k.recover()
	})
}

// recoverOne goes on with one connection, on the loop that has least to do. With an
// error the descriptors are still the entry's.
func (k *keeping) recoverOne(e *handover.Entry) error {
	conn, err := handover.Recover(e)
	if err != nil {
		return err
	}
	for _, fd := range e.Descriptors { // whoever has kept them may have changed that
		if errno := sock.NonBlocking(fd); errno != 0 {
			return fmt.Errorf("connection %d: O_NONBLOCK: %w", conn.ID, errno)
		}
	}
	// When the last byte was moved is not known. Idle times begin anew.
	conn.LastByte = time.Now()
	d := k.daemon
	least := 0
	for number, loop := range d.loops {
		if loop.Load() < d.loops[least].Load() {
			least = number
		}
	}
	homes := d.snapshot.Load().homes
	if !d.loops[least].Do(func() { err = d.workers[least].Import(&conn, homes) }) {
		return errors.New("the event loop has stopped")
	}
	return err
}

// giveUp ends a keeping that never ran. What was found and not recovered stays in the
// store, for the next start.
func (k *keeping) giveUp() {
	for i := range k.found {
		sock.CloseAll(k.found[i].Descriptors)
	}
	for _, l := range k.sockets {
		sock.Close(l.FD)
	}
	k.apply()
	k.shut()
}

// sample names what is told of the store.
func (k *keeping) sample() {
	if k == nil {
		return
	}
	r := k.daemon.registry
	r.Sample(stats.StoreConnected, func() float64 { return oneIf(k.connected.Load()) })
	r.Sample(stats.StoreEntries, k.entries)
	r.Sample(stats.StoreFailures, func() float64 { return float64(k.failures.Load()) })
	r.Sample(stats.StoreTakeovers, func() float64 { return float64(k.recovered.Load()) }, "recovered")
	r.Sample(stats.StoreTakeovers, func() float64 { return float64(k.reset.Load()) }, "reset")
}

// entries is how many entries the store has of this daemon.
func (k *keeping) entries() float64 {
	if !k.connected.Load() {
		return 0
	}
	n := 0
	for number, loop := range k.daemon.loops {
		loop.Do(func() { n += k.daemon.workers[number].Stored() })
	}
	n -= k.queue.Waiting()
	k.mu.Lock()
	defer k.mu.Unlock()
	return float64(n + len(k.listening) - int(k.missing.Load()))
}
