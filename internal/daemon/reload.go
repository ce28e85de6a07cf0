package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/systemd"
	"github.com/sluiceproxy/sluice/internal/watch"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/proxy"
)

var (
	errDraining = errors.New("the daemon is draining, and takes no new configuration")
	errNoLoad   = errors.New("there is no file to reload")
)

// reloads is what is known of reloads.
type reloads struct {
	mu      sync.Mutex // held by the one that is going on
	running sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc // ends the wait of the one that is going on

	seen     sync.Mutex
	good     uint64
	bad      uint64
	rejected *rejected // the last one, until one is accepted
}

// rejected is a reload that changed nothing.
type rejected struct {
	at  time.Time
	err error
}

// Reload loads the configuration again and serves by it, without touching live
// connections. It returns what takes effect at the next start only, for people.
// With an error nothing has changed. Any goroutine.
func (d *Daemon) Reload(cause string) (later []string, err error) {
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	began := time.Now()
	if d.state.Load() == live {
		d.tell("RELOADING", func(n *systemd.Notifier) error { return n.Reloading("reloading") })
		defer d.tellReadyAgain()
	}
	later, err = d.reload()
	d.reloads.seen.Lock()
	defer d.reloads.seen.Unlock()
	if err != nil {
		d.reloads.bad++
		d.reloads.rejected = &rejected{time.Now(), err}
		d.log.Error("reload: nothing has changed", zap.String("cause", cause), zap.Error(err))
		return nil, err
	}
	d.reloads.good++
	d.reloads.rejected = nil
	for _, what := range later {
		d.log.Warn("reload: takes effect at the next start", zap.String("key", what))
	}
	d.log.Info("reloaded", zap.String("cause", cause), zap.Duration("after", time.Since(began)))
	return later, nil
}

// tellReadyAgain ends what a reload has told, whether or not it was accepted.
func (d *Daemon) tellReadyAgain() {
	if d.state.Load() == live {
		d.tellReady()
	}
}

func (d *Daemon) reload() (later []string, err error) {
	switch {
	case d.options.Load == nil:
		return nil, errNoLoad
	case d.state.Load() != live || d.drained.Load():
		return nil, errDraining
	}
	loaded, err := d.options.Load()
	if err != nil {
		return nil, err
	}
	old := d.snapshot.Load()
	next, err := d.newSnapshot(loaded, old)
	if err != nil {
		return nil, err
	}
	change := d.compare(next)
	if err := d.prepare(change, old); err != nil {
		change.abandon()
		return nil, err
	}
	d.carryOut(change, old)
	return restartKeys(d.boot, loaded.Config), nil
}

// change is what a reload does to the listening sockets, by loop.
type change struct {
	next   *snapshot
	stay   [][]*listener.Acceptor // with what they become, at the same place
	become [][]*listener.Listener
	fresh  [][]*listener.Acceptor
	gone   [][]*listener.Acceptor
	kept   []*cluster.Cluster // that a keeper has begun to keep
	forget func(*cluster.Cluster)
}

// compare finds which sockets can serve on.
func (d *Daemon) compare(next *snapshot) *change {
	n := len(d.loops)
	c := &change{
		next: next, forget: d.upstreams.keeper.Forget,
		stay: make([][]*listener.Acceptor, n), become: make([][]*listener.Listener, n),
		fresh: make([][]*listener.Acceptor, n), gone: make([][]*listener.Acceptor, n),
	}
	for number := range d.loops {
		for _, a := range d.acceptors[number] {
			if ln := successor(a, next.table); ln != nil {
				c.stay[number], c.become[number] = append(c.stay[number], a), append(c.become[number], ln)
			} else {
				c.gone[number] = append(c.gone[number], a)
			}
		}
	}
	return c
}

// successor is the listener that a socket can serve from now on; nil: none.
func successor(a *listener.Acceptor, table *listener.Table) *listener.Listener {
	for _, ln := range table.Listeners() {
		if a.CanBecome(ln) {
			return ln
		}
	}
	return nil
}

// prepare does everything that can fail: binds what is new, and gets to know the
// endpoints of new clusters.
func (d *Daemon) prepare(c *change, old *snapshot) error {
	d.freeAddresses()
	for number, list := range c.stay {
		for i, a := range list {
			ln := c.become[number][i]
			if err := a.Prepare(ln); err != nil {
				return bindError(ln.Config, err)
			}
		}
	}
	serving := make(map[*listener.Listener]bool)
	for _, ln := range c.become[0] {
		serving[ln] = true
	}
	for _, ln := range c.next.table.Listeners() {
		if !ln.Config.Bind || serving[ln] {
			continue
		}
		acceptors, err := d.bindListener(ln)
		if err != nil {
			return err
		}
		for _, a := range acceptors {
			c.fresh[a.Loop()] = append(c.fresh[a.Loop()], a)
		}
	}
	return d.keepNew(c, old)
}

// freeAddresses waits until the sockets are closed that the last reload has ended, a
// fraction of a second: their addresses may be wanted again.
func (d *Daemon) freeAddresses() {
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for !d.finished(d.closing, everyListener) {
		<-poll.C
	}
}

// keepNew begins to keep the clusters that are new, and waits until they are
// warm, warmTime is over or a drain begins.
func (d *Daemon) keepNew(c *change, old *snapshot) error {
	u := d.upstreams
	for name, made := range c.next.clusters {
		if old.clusters[name] == made {
			continue
		}
		if err := u.keeper.Keep(u.ctx, made, &u.running); err != nil {
			return err
		}
		c.kept = append(c.kept, made)
	}
	ctx, cancel := context.WithTimeout(d.reloads.ctx, warmTime)
	defer cancel()
	for _, made := range c.kept {
		if made.Warm(ctx); ctx.Err() != nil {
			break
		}
	}
	if d.state.Load() != live {
		return errDraining
	}
	return nil
}

// abandon undoes what prepare did.
func (c *change) abandon() {
	for _, list := range c.fresh {
		closeAcceptors(list)
	}
	for _, made := range c.kept {
		c.forget(made)
	}
}

// carryOut serves by the new configuration. Each loop first gets room for what
// it is to count.
func (d *Daemon) carryOut(c *change, old *snapshot) {
	for _, loop := range d.loops {
		room := loop.Shard.Room(d.registry.Cells())
		loop.Do(func() { loop.Shard.Take(room) })
	}
	d.use(c.next)
	if err := d.openAll(c.fresh); err != nil {
		d.log.Error("reload: a new listener does not accept on every loop", zap.Error(err))
	}
	d.keeping.keepOnly(c.stay, c.fresh)
	for number, loop := range d.loops {
		loop.Do(func() {
			for i, a := range c.stay[number] {
				a.Become(c.become[number][i])
			}
			for _, a := range c.gone[number] {
				a.Finish()
			}
			d.closing[number] = c.gone[number]
			d.workers[number].ResetDenied(func(name string) *proxy.Chains { return c.next.chains[name] })
		})
		d.acceptors[number] = append(c.stay[number], c.fresh[number]...)
	}
	d.drainListeners(c, old)
	d.dropClusters(c.next, old)
	d.watchAppAgain(old.Config, c.next.Config)
	if before, now := old.Config.Log.Level, c.next.Config.Log.Level; before != now {
		if level, err := zapcore.ParseLevel(now); err == nil {
			d.options.Level.SetLevel(level)
		}
	}
}

// use makes a snapshot the one that new connections are served by.
func (d *Daemon) use(s *snapshot) {
	limits := &s.Config.Limits
	d.around.Limits.SetMax(limits.MaxConnections)
	d.around.Limits.SetMaxPending(limits.MaxPendingInspections)
	d.around.Limits.Sources.SetMax(limits.MaxConnectionsPerSource)
	d.around.Unmatched.Store(s.unmatched)
	d.around.Guard.SetEntrances(s.table.Entrances())
	d.entrance.Table.Store(s.table)
	d.snapshot.Store(s)
}

// drainListeners gives the connections of listeners that are gone drain.time to
// end.
func (d *Daemon) drainListeners(c *change, old *snapshot) {
	for _, ln := range old.table.Listeners() {
		if stays(ln, c.next.table) {
			continue
		}
		d.upstreams.later(c.next.Config.Drain.Time, func() {
			for number, loop := range d.loops {
				loop.Do(func() { d.workers[number].ResetListener(ln) })
			}
		})
	}
}

func stays(old *listener.Listener, table *listener.Table) bool {
	for _, ln := range table.Listeners() {
		if ln.Succeeds(old) {
			return true
		}
	}
	return false
}

// dropClusters ends what is known of clusters that are gone or changed.
func (d *Daemon) dropClusters(next, old *snapshot) {
	changed := make(map[string]bool)
	for name, before := range old.clusters {
		if next.clusters[name] != before {
			changed[name] = true
			if after := next.clusters[name]; after != nil {
				d.upstreams.keeper.Replace(before, after)
			} else {
				d.upstreams.keeper.Forget(before)
			}
		}
	}
	d.registry.ForgetClusters(changed)
	for i := range next.Config.Clusters {
		cfg := &next.Config.Clusters[i]
		if made := next.clusters[cfg.Name]; old.clusters[cfg.Name] != made {
			d.sampleCluster(made, cfg)
		}
	}
}

// restartKeys are the keys that a reload cannot change, as far as they differ.
func restartKeys(boot, now *config.Config) []string {
	var keys []string
	differs := func(key string, yes bool) {
		if yes {
			keys = append(keys, key)
		}
	}
	differs("concurrency", boot.Concurrency != now.Concurrency)
	differs("node", boot.Node != now.Node)
	differs("admin.address", boot.Admin != now.Admin)
	differs("metrics.address", boot.Metrics != now.Metrics)
	differs("readiness.address", boot.Readiness != now.Readiness)
	differs("log.format", boot.Log.Format != now.Log.Format)
	return keys
}

// watch reloads when the file changes, if that is wanted.
func (d *Daemon) watch(ctx context.Context, background *sync.WaitGroup) {
	if d.options.Watch == "" {
		return
	}
	file, err := watch.New(d.options.Watch)
	if err != nil {
		d.log.Warn("the configuration is watched badly", zap.Error(err))
	}
	background.Go(func() {
		file.Run(ctx, func() { _, _ = d.Reload("the file has changed") }) // it says itself how that went
	})
}

// reloadByAdmin is Reload for POST /reload.
func (d *Daemon) reloadByAdmin() (report string, err error) {
	later, err := d.Reload("POST /reload")
	if err != nil {
		return "", err
	}
	if len(later) > 0 {
		return fmt.Sprintf("reloaded; these take effect at the next start: %s", strings.Join(later, ", ")), nil
	}
	return "reloaded", nil
}

// count is one of the counters.
func (r *reloads) count(which func(*reloads) uint64) func() float64 {
	return func() float64 {
		r.seen.Lock()
		defer r.seen.Unlock()
		return float64(which(r))
	}
}

// last is the last attempt, if it was rejected.
func (r *reloads) last() *rejected {
	r.seen.Lock()
	defer r.seen.Unlock()
	return r.rejected
}
