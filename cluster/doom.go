package cluster

import (
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// Doom is why the open connections of an endpoint are to be closed.
type Doom uint32

// The dooms; zero is none.
const (
	Spared            Doom = iota
	EndpointRemoved        // on_endpoint_removed
	EndpointUnhealthy      // on_endpoint_unhealthy
)

// Doom says whether connections to ep are to be closed now, and why. It is only
// while KeeperOptions.Doomed runs that they are.
func (ep Endpoint) Doom() Doom {
	if ep.member == nil {
		return Spared
	}
	return Doom(ep.member.doom.Load())
}

// sentence is what waits for the open connections of a member, if it is then
// still what it was condemned for.
type sentence struct {
	doom Doom
	at   time.Time
}

// condemn does with the open connections of m what the configuration wants. It
// needs the lock.
func (c *Cluster) condemn(m *member, doom Doom, what config.OpenConnections) {
	if what == config.KeepConnections || c.keeper == nil {
		return
	}
	// It may have none, and get some before the loops see the next view.
	s := sentence{doom: doom}
	if what == config.DrainConnections {
		s.at = time.Now().Add(c.keeper.options.Drain)
	}
	c.keeper.condemn(m, s)
}

// execute has the connections closed whose time is over, and tells when the
// next ones are due. Connections that are made later, in panic, are not meant.
func (k *Keeper) execute(now time.Time) (next time.Time, any bool) {
	var doomed []*member
	k.mu.Lock()
	for m, s := range k.sentences {
		switch {
		case s.at.After(now):
			if !any || s.at.Before(next) {
				next, any = s.at, true
			}
			continue
		case m.active.Load() == 0:
		case s.doom == EndpointRemoved || m.health()&unavailable != 0:
			m.doom.Store(uint32(s.doom))
			doomed = append(doomed, m)
		}
		delete(k.sentences, m)
	}
	k.mu.Unlock()
	if len(doomed) > 0 && k.options.Doomed != nil {
		k.options.Doomed()
	}
	for _, m := range doomed {
		m.doom.Store(uint32(Spared))
	}
	return next, any
}
