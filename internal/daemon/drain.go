package daemon

import (
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/systemd"
	"github.com/sluiceproxy/sluice/listener"
)

const (
	// drainPoll is how often a drain looks whether it is done.
	drainPoll = 20 * time.Millisecond

	// logFlushTime bounds the wait for access-log lines at the end.
	logFlushTime = 2 * time.Second

	// serverCloseTime bounds the wait for requests under way at the end.
	serverCloseTime = time.Second
)

// serve handles signals until the daemon is to end.
func (d *Daemon) serve(signals <-chan os.Signal) {
	for {
		select {
		case <-d.quit:
			d.state.Store(draining)
			d.tell("STOPPING", func(n *systemd.Notifier) error { return n.Stopping("quitting") })
			d.log.Info("quitting at once", zap.Int64("connections", d.around.Limits.Active()))
			return
		case most := <-d.left:
			d.finish(signals, most)
			return
		case signal := <-signals:
			if ends(signal) {
				d.drain(signals)
				return
			}
			d.obey(signal)
		}
	}
}

func ends(signal os.Signal) bool { return signal == syscall.SIGTERM || signal == syscall.SIGINT }

// obey does what a signal that does not end the daemon asks for, also during a
// drain.
func (d *Daemon) obey(signal os.Signal) {
	switch signal {
	case syscall.SIGUSR1:
		d.files.Reopen()
		d.log.Info("access logs reopened")
	case syscall.SIGHUP:
		d.reloads.running.Go(func() { _, _ = d.Reload("SIGHUP") }) // it says itself how that went
	case syscall.SIGUSR2:
		d.reloads.running.Go(d.upgrade)
	}
}

// drain ends the daemon without cutting connections short: it turns unready, so
// that nobody sends new ones; goes on accepting for drain.min_time, because that
// news takes time to spread; then stops accepting from outside, while the
// application may still finish what it does through outbound listeners; and is
// done when no connection is left or drain.time is over.
func (d *Daemon) drain(signals <-chan os.Signal) {
	began := time.Now()
	cfg := d.beginDrain()
	d.tell("STOPPING", func(n *systemd.Notifier) error { return n.Stopping("draining") })
	d.log.Info("draining", zap.Duration("at_most", cfg.Time), zap.Int64("connections", d.around.Limits.Active()))
	d.outlast(signals, time.After(cfg.Time), time.After(quietTime(cfg)), notOutbound)
	d.log.Info("drained", zap.Duration("after", time.Since(began)), zap.Int64("reset", d.around.Limits.Active()))
}

// finish ends this process after another one has taken over: HTTP ports and
// listening sockets are that one's, and what is left of live connections has most
// time. The service manager hears nothing of it.
func (d *Daemon) finish(signals <-chan os.Signal, most time.Duration) {
	began := time.Now()
	d.reloads.cancel()
	d.closeServers()
	d.log.Info("another process serves; ending when nothing is left", zap.Duration("at_most", most), zap.Int64("connections", d.around.Limits.Active()))
	if d.outlast(signals, after(most), time.After(0), everyListener) == bySignal {
		d.outlast(signals, after(d.snapshot.Load().Config.Drain.Time), time.After(0), everyListener)
	}
	d.log.Info("ended after an upgrade", zap.Duration("after", time.Since(began)), zap.Int64("reset", d.around.Limits.Active()))
}

// noLimit is as long as it takes.
const noLimit time.Duration = -1

// after is a timer that noLimit never ends.
func after(d time.Duration) <-chan time.Time {
	if d == noLimit {
		return nil
	}
	return time.After(d)
}

// endedBy is why a wait is over.
type endedBy int

const (
	byItself endedBy = iota // no connection is left
	byDeadline
	bySignal
	byQuit
)

// outlast waits until no connection is left, after it has closed some listeners when
// quiet says so, and the others when none was left; or until the deadline, a signal that
// ends, or /quitquitquit.
func (d *Daemon) outlast(signals <-chan os.Signal, deadline, quiet <-chan time.Time, which func(*listener.Listener) bool) endedBy {
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	closed, all := false, false
	for {
		select {
		case <-quiet:
			d.stop(which)
			closed = true
		case <-poll.C:
			// In this order: nothing is accepted any more before it is counted what was.
			if !closed || !d.stopped(which) || d.around.Limits.Active() > 0 {
				continue
			}
			if all {
				return byItself
			}
			all, which = true, everyListener
			d.stop(which)
		case <-deadline:
			return byDeadline
		case <-d.quit:
			return byQuit
		case signal := <-signals:
			if ends(signal) {
				return bySignal
			}
			d.obey(signal)
		}
	}
}

// beginDrain waits for a reload that is going on, which ends at once, and lets
// none begin.
func (d *Daemon) beginDrain() config.Drain {
	d.state.Store(draining)
	d.reloads.cancel()
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	return d.snapshot.Load().Config.Drain
}

// quietTime is how long listeners go on accepting.
func quietTime(drain config.Drain) time.Duration {
	if drain.Strategy == config.DrainImmediate {
		return 0
	}
	return drain.MinTime
}

// notOutbound are the listeners that a drain closes first: the application may
// still finish what it does through the others.
func notOutbound(ln *listener.Listener) bool { return ln.Config.Direction != config.Outbound }

func everyListener(*listener.Listener) bool { return true }

// stop closes the listening sockets of some listeners, after what waits in their
// queues is accepted.
func (d *Daemon) stop(which func(*listener.Listener) bool) {
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	d.keeping.keepOnly(but(d.acceptors, which))
	for number, loop := range d.loops {
		loop.Do(func() {
			for _, acceptor := range d.acceptors[number] {
				if which(acceptor.Listener) {
					acceptor.Finish()
				}
			}
		})
	}
}

// stopped says whether what stop has begun is done.
func (d *Daemon) stopped(which func(*listener.Listener) bool) bool {
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	return d.finished(d.acceptors, which)
}

// finished says whether the sockets of some listeners are, among some acceptors.
func (d *Daemon) finished(acceptors [][]*listener.Acceptor, which func(*listener.Listener) bool) bool {
	finished := true
	d.onLoops(acceptors, func(a *listener.Acceptor) { finished = finished && (a.Finished() || !which(a.Listener)) })
	return finished
}

// drainByAdmin stops accepting, now or after drain.min_time. Connections go on,
// and so does the daemon.
func (d *Daemon) drainByAdmin(how admin.Drain) {
	d.drained.Store(true) // no reload opens them again
	which := everyListener
	if how.InboundOnly {
		which = notOutbound
	}
	wait := time.Duration(0)
	if how.Graceful {
		wait = quietTime(d.snapshot.Load().Config.Drain)
	}
	d.upstreams.later(wait, func() { d.stop(which) })
}

// waitedFor is how many connections of a direction a drain waits for.
func (d *Daemon) waitedFor(direction config.Direction) float64 {
	if d.state.Load() != draining {
		return 0
	}
	sum := int64(0)
	for _, ln := range d.snapshot.Load().table.Listeners() {
		if ln.Config.Direction == direction {
			sum += ln.Active()
		}
	}
	return float64(sum)
}
