package daemon

import (
	"context"
	"net/netip"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/cluster/dns"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/healthcheck"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/outlier"
)

// warmTime bounds how long a start waits for the first answers of DNS and the
// first health checks. Envoy waits without end; a sidecar that does not start
// because one of its neighbours is down would take the application with it.
const warmTime = 5 * time.Second

// upstreams is what works on the clusters off the event loops.
type upstreams struct {
	checker *healthcheck.Checker
	app     atomic.Pointer[healthcheck.App] // nil without app_health
	keeper  *cluster.Keeper
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// later does something after a time, unless the daemon ends before.
func (u *upstreams) later(d time.Duration, do func()) {
	u.running.Go(func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			do()
		case <-u.ctx.Done():
		}
	})
}

// keep begins to resolve names and to check endpoints, until leave.
func (d *Daemon) keep() error {
	checker, err := healthcheck.New(healthcheck.Options{Event: d.healthEvent, OnPanic: d.panicked})
	if err != nil {
		return err
	}
	checker.Start()
	ctx, cancel := context.WithCancel(context.Background())
	u := &upstreams{checker: checker, ctx: ctx, cancel: cancel}
	u.keeper = cluster.NewKeeper(cluster.KeeperOptions{
		Checker:  checker,
		Drain:    d.boot.Drain.Time,
		Doomed:   d.closeDoomed,
		Ejection: d.ejectionEvent,
		Resolved: d.resolved,
		Skipped:  d.checksSkipped,
	})
	d.upstreams = u
	u.running.Go(func() { u.keeper.Run(ctx) })
	for _, c := range d.snapshot.Load().clusters {
		if err := u.keeper.Keep(ctx, c, &u.running); err != nil {
			return err
		}
	}
	return d.watchApp(config.AppHealthPorts(d.boot))
}

// watchAppAgain follows app_health through a reload.
func (d *Daemon) watchAppAgain(old, now *config.Config) {
	ports := config.AppHealthPorts(now)
	if reflect.DeepEqual(config.AppHealthPorts(old), ports) {
		return
	}
	if app := d.upstreams.app.Swap(nil); app != nil {
		app.Close()
	}
	if err := d.watchApp(ports); err != nil {
		d.log.Error("reload: the application is not checked", zap.Error(err))
	}
}

// watchApp begins to check the application behind this sidecar, from the address
// by which the capture rules know that such a connection is not to be captured.
func (d *Daemon) watchApp(ports []config.AppHealthPort) error {
	if len(ports) == 0 {
		return nil
	}
	cfg := config.DefaultCluster()
	cfg.Name, cfg.Type, cfg.UpstreamBindAddress = "app_health", config.ClusterOriginalDst, netip.AddrFrom4([4]byte{127, 0, 0, 6})
	through, err := cluster.New(&cfg, stats.Cluster{})
	if err != nil {
		return err
	}
	d.upstreams.app.Store(healthcheck.NewApp(d.upstreams.checker, ports, healthcheck.GroupOptions{
		Dial:      through.DialCheck,
		HostFault: cluster.HostFault,
		Skipped:   func(err error) { d.checksSkipped(through, err) },
	}))
	return nil
}

// leave ends what keep began; nil: it began nothing.
func (u *upstreams) leave() {
	if u == nil {
		return
	}
	u.cancel()
	u.running.Wait()
	u.checker.Close()
}

// warm waits until each name was looked up and each endpoint checked once, or
// warmTime is over. False says that a signal or /quitquitquit ended it.
func (d *Daemon) warm(signals <-chan os.Signal) bool {
	ctx, cancel := context.WithTimeout(context.Background(), warmTime)
	defer cancel()
	warmed := make(chan string)
	go func() { warmed <- d.warmAll(ctx) }()
	for {
		select {
		case cold := <-warmed:
			if cold != "" {
				d.log.Warn("starting although not all names are resolved and all endpoints checked yet",
					zap.String("cluster", cold), zap.Duration("after", warmTime))
			}
			return true
		case <-d.quit:
			cancel()
			<-warmed
			return false
		case signal := <-signals:
			if ends(signal) {
				cancel()
				<-warmed
				return false
			}
			d.obey(signal)
		}
	}
}

// warmAll names the first cluster that is not warm when ctx ends, if any.
func (d *Daemon) warmAll(ctx context.Context) (cold string) {
	for name, c := range d.snapshot.Load().clusters {
		if c.Warm(ctx); ctx.Err() != nil {
			return name
		}
	}
	return ""
}

// closeDoomed has each loop close the connections of condemned endpoints.
func (d *Daemon) closeDoomed() {
	for number, loop := range d.loops {
		loop.Do(d.workers[number].CloseDoomed)
	}
}

func (d *Daemon) healthEvent(e healthcheck.Event) {
	suppressed, ok := d.events.take(time.Now())
	if !ok {
		return
	}
	fields := []zap.Field{zap.String("cluster", e.Cluster), zap.Stringer("endpoint", e.Address),
		zap.String("check", string(e.Check)), zap.String("event", string(e.Type)), zap.Bool("first_check", e.FirstCheck)}
	if suppressed > 0 {
		fields = append(fields, zap.Uint64("left_out_before", suppressed))
	}
	if e.Reason == "" {
		d.log.Info("health of an endpoint changed", fields...)
		return
	}
	d.log.Warn("health of an endpoint changed", append(fields, zap.String("reason", e.Reason))...)
}

// ejectionEvent logs ejections and their ends. What was only detected comes with each
// failure, and has an allowance of its own: it must not crowd out what has changed.
func (d *Daemon) ejectionEvent(e outlier.Event) {
	of := &d.events
	if e.Action == outlier.Eject && !e.Enforced {
		of = &d.detections
	}
	suppressed, ok := of.take(time.Now())
	if !ok {
		return
	}
	fields := []zap.Field{zap.Any("event", e)}
	if suppressed > 0 {
		fields = append(fields, zap.Uint64("left_out_before", suppressed))
	}
	d.log.Info("outlier detection", fields...)
}

// resolved logs when a name begins to fail, and when it no longer does.
func (d *Daemon) resolved(c *cluster.Cluster, r dns.Report) {
	fields := []zap.Field{zap.String("cluster", c.Name), zap.String("name", r.Name), zap.String("state", string(r.State))}
	if r.State == dns.StateGood {
		d.log.Info(r.String(), fields...)
		return
	}
	d.log.Warn(r.String(), fields...)
}

func (d *Daemon) checksSkipped(c *cluster.Cluster, err error) {
	d.log.Warn("this host cannot make health checks at the moment; what they said last is kept",
		zap.String("cluster", c.Name), zap.Error(err))
}
