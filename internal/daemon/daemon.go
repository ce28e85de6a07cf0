package daemon

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/intercept"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/internal/systemd"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/listener/policy"
	"github.com/sluiceproxy/sluice/proxy"
)

// hostsInterval is how often this host's addresses are read again.
const hostsInterval = 5 * time.Second

// Options of a Daemon.
type Options struct {
	Loaded  Loaded
	Load    func() (*Loaded, error) // loads it again, for a reload; errors are for people
	Source  string                  // where the configuration came from, for people
	Watch   string                  // file whose changes are reloaded; "" = none
	Log     *zap.Logger             // the daemon's own log
	Level   zap.AtomicLevel         // of Log
	Version string

	// Store opens what keeps sockets over a crash of this process, at the start and again
	// when it was lost; nil: nothing does. Run closes what it has opened.
	Store func(context.Context) (handover.Store, error)

	Notify   *systemd.Notifier // the service manager; nil: nobody
	Watchdog time.Duration     // how often it wants to hear; 0 = never

	Upgrade   Upgrade                   // from the process before, and to the next one
	Inherited []handover.ListenerSocket // that the service manager has made; Kind is ""
}

// Daemon is one running sluice.
type Daemon struct {
	options Options
	boot    *config.Config // what it was started with: some of it holds until the end
	log     *zap.Logger
	started time.Time

	registry *stats.Registry
	files    *accesslog.Files
	loops    []listener.Loop
	workers  []*proxy.Worker
	snapshot atomic.Pointer[snapshot]
	entrance *listener.Entrance
	around   *proxy.Surroundings

	upstreams *upstreams // nil before keep
	keeping   *keeping   // nil: there is no store

	acceptors  [][]*listener.Acceptor // of each loop; under reloads.mu once it runs
	closing    [][]*listener.Acceptor // those that the last reload has ended
	servers    []*admin.Server
	reloads    reloads
	upgrades   upgrades
	inherited  *inheritance
	before     *handover.Taker // nil: this process takes over from none
	taken      atomic.Uint64   // connections of the process before
	epoch      uint64          // processes before this one
	began      time.Time       // the first of them, or this one
	events     allowance       // of log lines about endpoints
	detections allowance       // of those about endpoints that are not ejected
	unready    atomic.Bool     // POST /healthcheck/fail
	drained    atomic.Bool     // listeners were drained by the admin API
	state      atomic.Int32
	left       chan time.Duration // another process serves; how long what is left may take
	quit       chan struct{}      // closed by /quitquitquit
	quitOnce   sync.Once
}

// The states of a daemon, as Envoy's ServerInfo.State counts them.
const (
	live            = 0
	draining        = 1
	preInitializing = 2
	initializing    = 3 // waits for DNS and health checks
)

// New builds everything that a configuration asks for. Nothing is bound and no
// connection is taken until Run; the access-log files are open. An error leaves
// nothing behind.
func New(o Options) (*Daemon, error) {
	d := &Daemon{options: o, boot: o.Loaded.Config, log: o.Log, started: time.Now(), left: make(chan time.Duration, 1), quit: make(chan struct{})}
	d.state.Store(preInitializing)
	d.began = d.started
	d.inherited = inherit(o.Inherited)
	d.reloads.ctx, d.reloads.cancel = context.WithCancel(context.Background())
	hosts, err := intercept.NewHosts()
	if err != nil {
		return nil, err
	}
	d.registry = stats.NewRegistry()
	d.files = accesslog.NewFiles(d.log)
	d.keeping = newKeeping(d)
	if err := d.build(hosts); err != nil {
		for _, loop := range d.loops {
			loop.Close()
		}
		d.closeFiles()
		return nil, err
	}
	return d, nil
}

func (d *Daemon) build(hosts *intercept.Hosts) error {
	if err := d.makeLoops(); err != nil {
		return err
	}
	guard := intercept.NewGuard(hosts)
	limits := new(listener.Limits)
	limits.Sources = policy.NewSources(math.MaxInt) // as many as there are connections, which have limits of their own
	d.around = &proxy.Surroundings{Guard: guard, Limits: limits, Resets: d.registry.Relay(), Inspections: d.registry.Inspection(), Log: d.log, Store: d.keeping.storeQueue()}
	for number, loop := range d.loops {
		d.workers = append(d.workers, proxy.NewWorker(number, loop, d.around))
	}
	d.entrance = &listener.Entrance{Loops: d.loops, Guard: guard, Limits: limits, Log: d.log, Descriptors: connectionDescriptors()}
	first, err := d.newSnapshot(&d.options.Loaded, nil)
	if err != nil {
		return err
	}
	d.use(first)
	d.sample()
	d.keeping.sample()
	for _, loop := range d.loops {
		loop.Shard.Grow(d.registry.Cells()) // the loops do not run yet
	}
	return nil
}

// makeLoops makes the event loops. Background goroutines and the garbage
// collector get processors of their own, because a busy loop keeps its one
// while it waits (docs/decisions/0001-event-loops.md).
func (d *Daemon) makeLoops() error {
	count := d.boot.Concurrency
	if count == 0 {
		count = runtime.GOMAXPROCS(0) // usable cores, the cgroup's limit included
	}
	for number := range count {
		loop, err := eventloop.New(eventloop.Options{OnPanic: d.panicked})
		if err != nil {
			return err
		}
		d.loops = append(d.loops, listener.Loop{Loop: loop, Shard: d.registry.NewShard(), Stats: d.registry.Loop(number)})
	}
	d.acceptors, d.closing = make([][]*listener.Acceptor, count), make([][]*listener.Acceptor, count)
	runtime.GOMAXPROCS(count + 2)
	return nil
}

func (d *Daemon) panicked(value any, stack []byte) {
	d.log.Error("panic on an event loop; it goes on", zap.Any("panic", value), zap.ByteString("stack", stack))
}

// Run serves until a signal or /quitquitquit ends it, and drains. It returns
// nil after a drain, complete or not, and an error when it could not start;
// then nothing was served.
func (d *Daemon) Run(signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	defer func() {
		cancel()
		background.Wait()
	}()
	for _, loop := range d.loops {
		go loop.Run()
	}
	defer d.release()
	defer d.reloads.cancel()
	if err := d.meet(); err != nil {
		return err
	}
	started, err := d.open(signals)
	if err != nil || !started {
		d.stay()
		return err
	}
	background.Go(func() {
		d.around.Guard.Hosts.Keep(ctx, hostsInterval, func(err error) {
			d.log.Warn("the loop guard goes on with the addresses it knows", zap.Error(err))
		})
	})
	d.watch(ctx, &background)
	d.keeping.start(d.acceptors)
	background.Go(debug.FreeOSMemory) // what the start needed and serving does not
	d.state.Store(live)
	if d.before != nil {
		d.answer()
	}
	d.log.Info("ready", zap.String("version", d.options.Version), zap.String("configuration", d.options.Source),
		zap.Int("listeners", len(d.acceptors[0])), zap.Int("loops", len(d.loops)),
		zap.Duration("after", time.Since(d.started)))
	d.tellReady()
	d.feed(ctx, &background)
	d.reloads.running.Go(func() {
		d.takeConnections()
		d.awaitSuccessor(d.reloads.ctx)
	})
	d.serve(signals)
	return nil
}

// open binds every address, and accepts when it is known where connections can
// go. When an address cannot be had, none stays bound. started is false when a
// signal or /quitquitquit ended it.
func (d *Daemon) open(signals <-chan os.Signal) (started bool, err error) {
	if err := d.keeping.begin(); err != nil {
		return false, err
	}
	d.inherited.add(d.keeping.listeners())
	if err := d.bind(); err != nil {
		return false, err
	}
	if err := d.keep(); err != nil {
		return false, err
	}
	if err := d.listen(); err != nil {
		return false, err
	}
	d.warn()
	d.state.Store(initializing)
	if d.before == nil { // or probes would hear of the new one, before Run says live, that it is not ready
		d.answer()
	}
	if !d.warm(signals) {
		d.log.Info("stopped before it was ready")
		return false, nil
	}
	if err := d.succeed(); err != nil {
		return false, err
	}
	d.keeping.recover()
	return true, d.accept()
}

// release ends the loops and closes what is open. Live connections are reset.
func (d *Daemon) release() {
	d.reloads.cancel()
	d.reloads.running.Wait() // a hand-over may be using the HTTP ports
	d.closeServers()
	d.upstreams.leave()
	// All listeners first: until then, any loop may hand a connection to another.
	for number, loop := range d.loops {
		loop.Do(func() {
			closeAcceptors(d.acceptors[number])
			closeAcceptors(d.closing[number])
		})
	}
	for number, loop := range d.loops {
		loop.Do(d.workers[number].ResetAll)
	}
	for _, loop := range d.loops {
		loop.Stop()
	}
	for _, worker := range d.workers {
		worker.Close()
	}
	d.keeping.finish()
	d.closeFiles()
}

func (d *Daemon) closeFiles() {
	ctx, cancel := context.WithTimeout(context.Background(), logFlushTime)
	defer cancel()
	if err := d.files.Close(ctx); err != nil {
		d.log.Warn("closing the access logs", zap.Error(err))
	}
}

// Quit ends Run without a drain. Any thread, any number of times.
func (d *Daemon) Quit() { d.quitOnce.Do(func() { close(d.quit) }) }
