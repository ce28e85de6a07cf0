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
// needs the lock, and comes after note: also connections that loops make by the
// old view are meant, so the sentence waits for the new one.
func (c *Cluster) condemn(m *member, doom Doom, what config.OpenConnections) {
	if what == config.KeepConnections || c.keeper == nil {
		return
	}
	s := sentence{doom: doom}
	if what == config.DrainConnections {
		s.at = time.Now().Add(c.keeper.options.Drain)
	}
	c.keeper.condemn(m, s)
}

// verdict is a sentence whose time has come.
type verdict struct {
	member *member
	doom   Doom
}

// due takes out the sentences whose time has come, and tells when the next one
// comes. It needs the lock.
func (k *Keeper) due(now time.Time) (list []verdict, next time.Time, more bool) {
	for m, s := range k.sentences {
		if !s.at.After(now) {
			list = append(list, verdict{m, s.doom})
			delete(k.sentences, m)
		} else if !more || s.at.Before(next) {
			next, more = s.at, true
		}
	}
	return list, next, more
}

// execute has the connections of members closed that are still what they were
// condemned for. Connections that are made later, in panic, are not meant.
func (k *Keeper) execute(list []verdict) {
	var doomed []*member
	for _, v := range list {
		if m := v.member; m.active.Load() > 0 && (v.doom == EndpointRemoved || m.health()&unavailable != 0) {
			m.doom.Store(uint32(v.doom))
			doomed = append(doomed, m)
		}
	}
	if len(doomed) > 0 && k.options.Doomed != nil {
		k.options.Doomed()
	}
	for _, m := range doomed {
		m.doom.Store(uint32(Spared))
	}
}
