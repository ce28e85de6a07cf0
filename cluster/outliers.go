package cluster

import (
	"math/rand/v2"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/outlier"
)

// Patience is what a cluster's outlier detection wants to hear of established
// connections. The zero Patience wants nothing.
type Patience struct {
	EarlyClose time.Duration // a close without a byte from the endpoint is early until then
	FirstByte  time.Duration // for the endpoint's first byte after the client's
}

// Patience is set by consecutive_early_close and consecutive_first_byte_timeout.
func (c *Cluster) Patience() Patience { return c.patience }

func (c *Cluster) watchOutliers(cfg *config.OutlierDetection) {
	if cfg.ConsecutiveEarlyClose > 0 {
		c.patience.EarlyClose = cfg.EarlyCloseWindow
	}
	if cfg.ConsecutiveFirstByteTimeout > 0 {
		c.patience.FirstByte = cfg.FirstByteTimeout
	}
	c.detector = outlier.New(outlier.SettingsOf(cfg), outlier.Options{
		Cluster: c.Name,
		Random:  rand.Uint32N,
		Changed: c.ejected,
		Event:   c.ejectionEvent,
	})
}

// Report tells outlier detection how a connection to ep went. Any thread; it
// takes no lock, unless an endpoint is to be ejected now. What is this host's
// own fault is not to be reported: see Blame.
func (c *Cluster) Report(ep Endpoint, result outlier.Result) {
	if ep.member == nil || ep.member.monitor == nil || !ep.member.monitor.Report(result) {
		return
	}
	c.crossed.Store(true)
	c.note()
}

// ConnectFailed counts an attempt that failed by the endpoint's fault, and
// reports it: see Blame.
func (c *Cluster) ConnectFailed(ep Endpoint, how Failure) {
	if ep.member != nil {
		ep.member.failures.Add(1)
	}
	if how == TimedOut {
		c.Report(ep, outlier.LocalTimeout)
	} else {
		c.Report(ep, outlier.LocalConnectFailed)
	}
}

// Failure is how an attempt to connect failed.
type Failure uint8

// The failures.
const (
	Refused  Failure = iota // refused, unreachable or reset
	TimedOut                // connect_timeout
)

// ejected hears from the detector, without its lock or the cluster's.
func (c *Cluster) ejected(id int32, ejected bool, _ outlier.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.byID[id]; m != nil {
		c.noteHealth(m, failedOutlier, ejected)
	}
}

func (c *Cluster) ejectionEvent(e outlier.Event) {
	c.mu.Lock()
	keeper := c.keeper
	if m := c.byID[e.ID]; m != nil {
		e.Address = m.key
	}
	c.mu.Unlock()
	if keeper != nil && keeper.options.Ejection != nil {
		keeper.options.Ejection(e)
	}
}

// Ejections are the counts of outlier detection; ok is false without it.
func (c *Cluster) Ejections() (counts outlier.Counts, ok bool) {
	if c.detector == nil {
		return counts, false
	}
	return c.detector.Counts(), true
}

// Average is what the endpoints had in common at the latest sweep of outlier
// detection; ok is false without it.
func (c *Cluster) Average() (average outlier.Average, ok bool) {
	if c.detector == nil {
		return average, false
	}
	return c.detector.Average(outlier.LocalOrigin), true
}

func (c *Cluster) successRate(id int32) float64 {
	if c.detector == nil {
		return outlier.NoRate
	}
	status, ok := c.detector.Status(id)
	if !ok {
		return outlier.NoRate
	}
	return status.LocalSuccessRate
}
