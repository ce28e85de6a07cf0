package daemon

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/systemd"
)

// tell passes a notification on to the service manager, if there is one. That it
// cannot be told is no reason to stop.
func (d *Daemon) tell(what string, send func(*systemd.Notifier) error) {
	if err := send(d.options.Notify); err != nil {
		d.log.Warn("the service manager cannot be told", zap.String("what", what), zap.Error(err))
	}
}

func (d *Daemon) tellReady() {
	d.tell("READY", func(n *systemd.Notifier) error { return n.Ready("serving") })
}

// feed tells the service manager's watchdog, at every interval, that each loop
// still answers. A loop that does not lets the watchdog end the daemon.
func (d *Daemon) feed(ctx context.Context, background *sync.WaitGroup) {
	if d.options.Watchdog <= 0 {
		return
	}
	background.Go(func() {
		tick := time.NewTicker(d.options.Watchdog)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for _, loop := range d.loops {
				loop.Do(func() {})
			}
			d.tell("WATCHDOG", (*systemd.Notifier).Watchdog)
		}
	})
}
