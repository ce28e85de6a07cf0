package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/cluster/dns"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/healthcheck"
	"github.com/sluiceproxy/sluice/outlier"
)

const (
	// restShare bounds what making views may cost: after each round the keeper
	// rests so many times as long as the round took.
	restShare = 24

	// longestRest bounds that where a round is long, for large hash tables or
	// because many connections are closed: news must not wait for long.
	longestRest = 500 * time.Millisecond

	// rampSteps is how many steps slow start has.
	rampSteps = 50

	shortestStep = 100 * time.Millisecond

	// idleRound is the time between rounds where nothing is known to be due.
	idleRound = time.Hour
)

// KeeperOptions are what a Keeper works with. Each may be left out.
type KeeperOptions struct {
	Checker  *healthcheck.Checker
	Drain    time.Duration              // what connections that are to be drained have left
	Doomed   func()                     // closes the connections of some endpoints, before it returns: see Endpoint.Doom
	Ejection func(outlier.Event)        // the outlier event log
	Resolved func(*Cluster, dns.Report) // a name began to fail, or no longer does
	Skipped  func(*Cluster, error)      // this host cannot make health checks at the moment
	Hosts    string                     // path of the file with names that DNS is not asked for; "" = /etc/hosts
}

// Keeper does, in one goroutine, what clusters need done off the event loops:
// new views when endpoints or their health change, sweeps for outliers, slow
// start.
type Keeper struct {
	options KeeperOptions
	wake    chan struct{}

	mu        sync.Mutex
	noted     []*Cluster
	timed     []*Cluster // that have something to do as time goes by
	sentences map[*member]sentence
	resolvers map[string]*dns.Resolver
}

// NewKeeper makes a keeper of no clusters. Run does its work.
func NewKeeper(o KeeperOptions) *Keeper {
	return &Keeper{options: o, wake: make(chan struct{}, 1),
		sentences: make(map[*member]sentence), resolvers: make(map[string]*dns.Resolver)}
}

// Keep begins to resolve c's names and to check its endpoints, and to make new
// views as those change, until Forget or ctx ends. An error says that the
// resolver cannot be made. c must not be kept already.
func (k *Keeper) Keep(ctx context.Context, c *Cluster, running *sync.WaitGroup) error {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	c.keeper, c.cancel = k, cancel
	c.mu.Unlock()
	if err := k.resolve(ctx, c, running); err != nil {
		cancel()
		return err
	}
	c.check(k.options.Checker, k.options.Skipped)
	k.mu.Lock()
	if c.detector != nil || c.cfg.SlowStart.Window > 0 {
		k.timed = append(k.timed, c)
	}
	k.mu.Unlock()
	k.note(c)
	return nil
}

// Forget ends what Keep began, because a reload has left c out. Its connections
// go on.
func (k *Keeper) Forget(c *Cluster) {
	c.mu.Lock()
	cancel, checks := c.cancel, c.checks
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	if checks != nil {
		checks.Close()
	}
	k.mu.Lock()
	k.timed = slices.DeleteFunc(k.timed, func(other *Cluster) bool { return other == c })
	k.mu.Unlock()
}

// Replace is Forget for a cluster that another one of the same name takes the place
// of. Endpoints that the other one's configuration has not are removed, as DNS
// removes them: see on_endpoint_removed.
func (k *Keeper) Replace(c, by *Cluster) {
	k.Forget(c)
	stays := make(map[config.HostPort]bool)
	for i := range by.cfg.Endpoints {
		stays[by.cfg.Endpoints[i].Address] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		if !stays[m.spec.Address] {
			c.condemn(m, EndpointRemoved, by.cfg.OnEndpointRemoved)
		}
	}
}

func (k *Keeper) rouse() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// note has c looked at soon. Any thread; the lock is held for an append.
func (k *Keeper) note(c *Cluster) {
	k.mu.Lock()
	k.noted = append(k.noted, c)
	k.mu.Unlock()
	k.rouse()
}

func (k *Keeper) condemn(m *member, s sentence) {
	k.mu.Lock()
	k.sentences[m] = s
	k.mu.Unlock()
	k.rouse()
}

// Run works until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-timer.C:
		}
		began := time.Now()
		next := k.round(began)
		// Changes gather meanwhile, so that many of them cost one view.
		timer.Reset(rest(time.Since(began)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(time.Until(next))
	}
}

// rest is how long the keeper rests after a round.
func rest(round time.Duration) time.Duration { return min(restShare*round, longestRest) }

// round does what there is to do, and says when it wants to be called again at
// the latest.
func (k *Keeper) round(now time.Time) (next time.Time) {
	k.mu.Lock()
	noted, timed := k.noted, slices.Clone(k.timed)
	k.noted = nil
	due, later, more := k.due(now)
	k.mu.Unlock()
	for _, c := range noted {
		c.renew(now)
	}
	next = now.Add(idleRound)
	for _, c := range timed {
		if at := c.tick(now); at.Before(next) {
			next = at
		}
	}
	k.execute(due)
	if more && later.Before(next) {
		next = later
	}
	return next
}

// renew makes a view of what was noted. What comes to be known from here on is
// noted anew: it may be too late for this view, and Settle for this outlier.
func (c *Cluster) renew(now time.Time) {
	c.noted.Store(false) // before all that is looked at: what changes after that is noted anew
	if c.crossed.Swap(false) {
		c.detector.Settle(now)
	}
	if c.discover(now) {
		return // that has made a view
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh(now)
}

// tick does what the time has come for, and says when it wants to be called
// again.
func (c *Cluster) tick(now time.Time) time.Time {
	next := now.Add(idleRound)
	if c.detector != nil {
		if !c.detector.Next(now).After(now) {
			c.detector.Sweep(now)
		}
		next = c.detector.Next(now)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ramping {
		return next
	}
	step := max(c.cfg.SlowStart.Window/rampSteps, shortestStep)
	if !c.ramped.Add(step).After(now) {
		c.ramped = now
		c.refresh(now)
	}
	if at := c.ramped.Add(step); at.Before(next) {
		return at
	}
	return next
}
