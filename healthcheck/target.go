package healthcheck

import (
	"net/netip"
	"strings"
	"time"
)

// target is an endpoint while it is checked. It lives on the checker's thread.
type target struct {
	Target
	group    *Group
	sessions []session // one for each check of the group
	verdict  Verdict
}

func newTarget(g *Group, t Target) *target {
	made := &target{Target: t, group: g, sessions: make([]session, len(g.checks)), verdict: Verdict{State: Pending}}
	for i := range made.sessions {
		g.checker.phases++
		made.sessions[i] = session{target: made, check: g.checks[i], fd: -1, phase: phase(g.checker.phases)}
	}
	return made
}

// begin plans the first checks of the i-th of n new targets.
func (t *target) begin(i, n int) {
	for j := range t.sessions {
		s := &t.sessions[j]
		s.plan(t.group.checker.loop.Now()+int64(firstDelay(&s.check.config, i, n)), int64(s.check.config.Interval))
	}
}

// move lets the checks go on at another address.
func (t *target) move(address netip.AddrPort) {
	t.Address = address
	for i := range t.sessions {
		t.sessions[i].move()
	}
}

func (t *target) end() {
	for i := range t.sessions {
		t.sessions[i].end()
	}
}

// authority is how HTTP names the endpoint where a check does not: by the
// cluster, as in Envoy, unless its name could not be a host's. Servers answer
// 400 to outbound|9080||ratings.
func (t *target) authority() string {
	switch {
	case t.Host != "":
		return t.Host
	case isHost(t.group.cluster):
		return t.group.cluster
	}
	return t.Address.String()
}

// isHost says whether name has only what names and addresses of hosts have.
func isHost(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._:", r))
	})
}

// address is where a check connects to.
func (t *target) address(c *check) netip.AddrPort {
	if c.config.Port == 0 {
		return t.Address
	}
	return netip.AddrPortFrom(t.Address.Addr(), c.config.Port)
}

// combined is the worst that the checks say. One that fails is certain, whatever
// others do not know yet.
func (t *target) combined() State {
	worst := Healthy
	for i := range t.sessions {
		state := t.sessions[i].health.state()
		if state == Unhealthy {
			return Unhealthy
		}
		worst = min(worst, state)
	}
	return worst
}

// judge makes a verdict of the checks after a result, and tells others of a
// change of state.
func (t *target) judge(r result) {
	before, now := t.verdict, Verdict{State: t.combined()}
	if now.State == Unhealthy {
		now.Failure, now.Reason = r.failure, r.reason
		if r.failure == NoFailure { // of this check: another one fails
			now = before
		}
	}
	t.verdict = now
	if now == before {
		return
	}
	if wasUp, isUp := before.State >= Degraded, now.State >= Degraded; isUp && !wasUp {
		t.group.counts.healthy.Add(1)
	} else if wasUp && !isUp {
		t.group.counts.healthy.Add(-1)
	}
	t.group.publish(t, now.State != before.State)
}

// report writes the event log.
func (t *target) report(s *session, kind EventType, first bool, r result) {
	c := t.group.checker
	if c.options.Event == nil {
		return
	}
	e := Event{
		Time: time.Now(), Cluster: t.group.cluster, Address: t.Address,
		Check: s.check.config.Type, Type: kind, FirstCheck: first,
	}
	if kind == EventFailure || kind == EventEject {
		e.Failure, e.Reason = r.failure, r.reason
	}
	c.options.Event(e)
}
