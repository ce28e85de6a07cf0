package healthcheck

import (
	"time"

	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
)

// stage is what a session does at the moment.
type stage uint8

const (
	resting    stage = iota // between checks; a connection may be kept
	connecting              // a check runs and has no connection yet
	talking                 // a check runs on a connection
)

// session is one check of one endpoint, again and again. It lives on the
// checker's thread. Between checks it holds no buffer.
type session struct {
	target *target
	check  *check
	health health
	phase  float32 // place in the cycle, in (0, 1]

	timer eventloop.Timer // resting: until the next check; else: until its timeout
	due   int64           // when the next check is to begin, on the loop's clock
	cycle int64           // the interval that leads there

	stage  stage
	reused bool // the check runs on a connection of an earlier one
	heard  bool // bytes have come for this check
	shut   bool // FIN is sent
	skips  bool // the last check was skipped
	fd     int  // -1 = none
	watch  eventloop.Watch

	exchange exchange // of the connection
	unread   []byte   // what exchange has not used up
	unsent   []byte
}

func (s *session) loop() *eventloop.Loop { return s.target.group.checker.loop }

// plan has the next check begin at due.
func (s *session) plan(due, cycle int64) {
	s.due, s.cycle = due, cycle
	s.loop().StartTimer(&s.timer, time.Duration(onGrain(due, cycle)-s.loop().Now()), s)
}

// OnTimer begins a check, or ends one that takes too long.
func (s *session) OnTimer() {
	if s.stage == resting {
		s.run()
		return
	}
	s.lookOnce()
	if s.stage != resting && !s.timer.Active() {
		s.conclude(failed(Timeout, s.missing()))
	}
}

// lookOnce takes what has come and was not served yet: a loop that is behind
// must not hold its delay against an endpoint.
func (s *session) lookOnce() {
	if s.stage == talking || sock.PeerAddr(s.fd).IsValid() {
		s.OnEvents(0, sock.Readable|sock.Writable)
	}
}

// missing says what a timed out check has waited for.
func (s *session) missing() string {
	within := " within " + s.check.config.Timeout.String()
	switch {
	case s.stage == connecting:
		return "no connection" + within
	case s.check.halfCloses() && len(s.check.receive) == 0:
		return "connected, but neither bytes nor a FIN came in return for a FIN" + within + ": nothing accepts or reads there"
	}
	return "connected, but no whole answer came" + within
}

// OnPanic gives up a check whose code is at fault, and does not blame the
// endpoint.
func (s *session) OnPanic(value any, stack []byte) {
	c := s.target.group.checker
	if c.options.OnPanic == nil {
		panic(value)
	}
	c.options.OnPanic(value, stack)
	s.skip(errPanic)
}

// run begins a check.
func (s *session) run() {
	counts := &s.target.group.counts
	counts.attempt.Add(1)
	if late(s.due, s.loop().Now(), s.cycle) {
		counts.late.Add(1)
	}
	s.loop().StartTimer(&s.timer, s.check.config.Timeout, s)
	s.heard = false
	if s.reused = s.fd >= 0; s.reused {
		s.ask()
		return
	}
	s.connect()
}

// move leaves the connection to an address that no longer counts. A check that
// runs begins anew, within the same timeout.
func (s *session) move() {
	s.drop()
	if s.stage != resting {
		s.reused, s.heard = false, false
		s.connect()
	}
}

// conclude counts a result, plans the next check and tells others.
func (s *session) conclude(r result) {
	if s.reused && !s.heard && r.failure == Network || s.reused && r.again {
		s.drop()
		s.reused, s.heard = false, false
		s.connect() // within the same timeout
		return
	}
	s.rest(r.reuse && s.check.config.ReuseConnection)
	s.unskip()
	before := s.health
	step := s.count(r)
	s.planNext(r, step, !before.checked)
	s.tell(before, r)
	s.target.judge(r)
	if passed := s.target.group.options.Passed; passed != nil && r.failure == NoFailure && s.target.verdict.State >= Degraded {
		passed(s.target.ID)
	}
}

func (s *session) count(r result) transition {
	counts := &s.target.group.counts
	if r.failure != NoFailure {
		counts.failed(r.failure)
		return s.health.failure(r.failure, &s.check.config)
	}
	counts.success.Add(1)
	return s.health.success(r.degraded, &s.check.config)
}

// planNext keeps to the cycle that the phase gives, however long checks take.
func (s *session) planNext(r result, step transition, first bool) {
	traffic := s.target.group.options.HasTraffic
	every := interval(&s.check.config, r.failure == NoFailure, step, traffic == nil || traffic())
	now, due := s.loop().Now(), s.due+int64(every)
	if first {
		due = now + int64(float64(s.phase)*float64(every))
	}
	s.plan(max(due, now)+int64(jitter(s.check.config.IntervalJitter)), int64(every))
}

// tell writes the event log.
func (s *session) tell(before health, r result) {
	first, now := !before.checked, s.health
	switch {
	case now.passing && !before.passing:
		s.target.report(s, EventAdd, first, r)
	case before.passing && !now.passing:
		s.target.report(s, EventEject, first, r)
	case first:
		s.target.report(s, EventFailure, first, r)
	}
	if now.degraded && !before.degraded {
		s.target.report(s, EventDegraded, first, r)
	} else if before.degraded && !now.degraded {
		s.target.report(s, EventNoLongerDegraded, first, r)
	}
}

// skip ends a check that says nothing about the endpoint. The group's owner hears
// of the first one: others may run all the same, such as those of one address
// family, and that is no news each time.
func (s *session) skip(err error) {
	s.rest(false)
	g := s.target.group
	g.counts.skipped.Add(1)
	if !s.skips {
		s.skips = true
		if g.skipping++; g.skipping == 1 && g.options.Skipped != nil {
			g.options.Skipped(err)
		}
	}
	after := int64(min(retryAfter, s.check.config.Interval))
	s.plan(s.loop().Now()+after, after)
}

// unskip notes that the session's check is not skipped.
func (s *session) unskip() {
	if s.skips {
		s.skips = false
		s.target.group.skipping--
	}
}

// end ends the session.
func (s *session) end() {
	s.rest(false)
	s.unskip()
}

// rest ends a check, if one runs, and the connection unless it is kept.
func (s *session) rest(keep bool) {
	s.loop().StopTimer(&s.timer)
	if s.stage = resting; !keep {
		s.drop()
	}
}
