package daemon

import (
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/config"
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
	if signal != syscall.SIGUSR1 {
		d.log.Warn("not supported yet; the signal changes nothing", zap.Stringer("signal", signal))
		return
	}
	d.files.Reopen()
	d.log.Info("access logs reopened")
}

// drain ends the daemon without cutting connections short: it turns unready, so
// that nobody sends new ones; goes on accepting for drain.min_time, because that
// news takes time to spread; then stops accepting from outside, while the
// application may still finish what it does through outbound listeners; and is
// done when no connection is left or drain.time is over.
func (d *Daemon) drain(signals <-chan os.Signal) {
	began := time.Now()
	d.state.Store(draining)
	deadline := time.After(d.cfg.Drain.Time)
	quiet := time.After(d.quietTime())
	d.log.Info("draining", zap.Duration("at_most", d.cfg.Drain.Time), zap.Int64("connections", d.around.Limits.Active()))
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	closed := false
	for done := false; !done; {
		select {
		case <-quiet:
			d.stopInbound()
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

// quietTime is how long listeners go on accepting.
func (d *Daemon) quietTime() time.Duration {
	if d.cfg.Drain.Strategy == config.DrainImmediate {
		return 0
	}
	return d.cfg.Drain.MinTime
}

// stopInbound closes all listening sockets but the outbound ones.
func (d *Daemon) stopInbound() {
	for number, loop := range d.loops {
		loop.Do(func() {
			for _, acceptor := range d.acceptorsOf(number) {
				if acceptor.Listener.Config.Direction != config.Outbound {
					acceptor.Finish()
				}
			}
		})
	}
}
