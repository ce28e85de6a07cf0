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
	default:
		d.log.Warn("not supported yet; the signal changes nothing", zap.Stringer("signal", signal))
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
	deadline := time.After(cfg.Time)
	quiet := time.After(quietTime(cfg))
	d.log.Info("draining", zap.Duration("at_most", cfg.Time), zap.Int64("connections", d.around.Limits.Active()))
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	closed := false
	for done := false; !done; {
		select {
		case <-quiet:
			d.stop(notOutbound)
			closed = true
		case <-poll.C:
			done = closed && d.around.Limits.Active() == 0
		case <-deadline:
			done = true
		case <-d.quit:
			done = true
		case signal := <-signals:
			if done = ends(signal); !done {
				d.obey(signal)
			}
		}
	}
	d.log.Info("drained", zap.Duration("after", time.Since(began)), zap.Int64("reset", d.around.Limits.Active()))
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

// stop closes the listening sockets of some listeners, after what waits in their
// queues is accepted.
func (d *Daemon) stop(which func(*listener.Listener) bool) {
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
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

// drainByAdmin stops accepting, now or after drain.min_time. Connections go on,
// and so does the daemon.
func (d *Daemon) drainByAdmin(how admin.Drain) {
	d.drained.Store(true) // no reload opens them again
	which := func(*listener.Listener) bool { return true }
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
