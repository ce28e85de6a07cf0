package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// script is what the lookups of a watch find, one after the other; the last
// one stays. Its times are virtual ones, in a synctest bubble.
type script struct {
	steps   []findings
	asked   []time.Duration // since the beginning
	answers []Answer
	reports []Report
}

// watch is one that plays the script. It calls end after the last step, if
// there is an end.
func (s *script) watch(t *testing.T, settings config.DNS, end func()) *Watch {
	t.Helper()
	r, err := NewResolver(Options{ResolvConf: t.TempDir() + "/resolv.conf"})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	w := NewWatch(r, "a.example", settings, func(a Answer) { s.answers = append(s.answers, a) })
	w.OnReport = func(r Report) { s.reports = append(s.reports, r) }
	w.find = func(ctx context.Context, _ string, _ config.LookupFamily) (findings, error) {
		if len(s.asked) >= len(s.steps) && end != nil {
			end()
			return findings{}, ctx.Err()
		}
		s.asked = append(s.asked, time.Since(start))
		return s.steps[min(len(s.asked), len(s.steps))-1], nil
	}
	return w
}

// play runs a watch for a time.
func (s *script) play(t *testing.T, settings config.DNS, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	s.watch(t, settings, nil).Run(ctx)
}

// found is an answer of A records; good has a TTL of a minute.
func found(ttl time.Duration, texts ...string) findings {
	return findings{v4: finding{section: section{addrs: addrs(texts...), ttl: ttl}}, v6: nothing(KindEmpty).v6}
}

func good(texts ...string) findings { return found(time.Minute, texts...) }

func nothing(kind Kind) findings {
	f := finding{err: &Failure{Name: "a.example", Kind: kind, Err: errors.New(string(kind))}}
	return findings{v4: f, v6: f}
}

type refreshCase struct {
	name     string
	settings config.DNS
	ttl      time.Duration
	want     time.Duration
}

func TestRefresh(t *testing.T) {
	cases := []refreshCase{
		{"by rate", config.DNS{RefreshRate: 7 * time.Second}, time.Minute, 7 * time.Second},
		{"by a rate below a second", config.DNS{RefreshRate: 50 * time.Millisecond}, time.Minute, 50 * time.Millisecond},
		{"by TTL", config.DNS{RefreshRate: 7 * time.Second, RespectTTL: true}, time.Minute, time.Minute},
		{"by a TTL of a second", config.DNS{RefreshRate: 7 * time.Second, RespectTTL: true}, time.Second, time.Second},
		{"TTL 0 is by rate", config.DNS{RefreshRate: 7 * time.Second, RespectTTL: true}, 0, 7 * time.Second},
		{"TTL 0 is not below a second", config.DNS{RefreshRate: 50 * time.Millisecond, RespectTTL: true}, 0, time.Second},
		{"without a rate", config.DNS{}, 0, 5 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{steps: []findings{found(c.ttl, "10.0.0.1")}}
				s.play(t, c.settings, 5*c.want/2)
				if want := []time.Duration{0, c.want, 2 * c.want}; !slices.Equal(s.asked, want) {
					t.Errorf("asked at %v, want %v", s.asked, want)
				}
			})
		})
	}
}

type keepCase struct {
	name   string
	family config.LookupFamily
	steps  []findings
	// want are the answers passed on, and the states reported.
	want     []string
	states   []State
	counters Counters
}

func TestWatchKeepsTheLastGoodAnswer(t *testing.T) {
	v6 := func(f findings, texts ...string) findings {
		f.v6 = finding{section: section{addrs: addrs(texts...), ttl: time.Minute}}
		return f
	}
	failed6 := func(f findings) findings { f.v6 = nothing(KindTimeout).v6; return f }
	failed4 := func(f findings) findings { f.v4 = nothing(KindServer).v4; return f }
	unasked4 := func(f findings) findings { f.v4 = finding{}; return f }
	a := good("10.0.0.1")
	both := v6(a, "fd00::1")
	var many []string
	for i := range maxAddrs + 1 {
		many = append(many, fmt.Sprintf("10.0.%d.%d", i>>8, i&255))
	}
	cases := []keepCase{
		{"the same", "", []findings{a, a, a}, []string{"10.0.0.1"}, nil, Counters{Attempts: 3, Success: 3, NoRebuild: 2}},
		{"in another order", "", []findings{good("10.0.0.1", "10.0.0.2"), good("10.0.0.2", "10.0.0.1")}, []string{"10.0.0.1 10.0.0.2"}, nil, Counters{Attempts: 2, Success: 2, NoRebuild: 1}},
		{"another one", "", []findings{a, good("10.0.0.2")}, []string{"10.0.0.1", "10.0.0.2"}, nil, Counters{Attempts: 2, Success: 2}},
		{"silence", "", []findings{a, nothing(KindTimeout), nothing(KindTimeout), a}, []string{"10.0.0.1"}, []State{StateFailing, StateGood}, Counters{Attempts: 4, Success: 2, NoRebuild: 1, Failure: 2, Timeout: 2}},
		{"NXDOMAIN", "", []findings{a, nothing(KindNotFound), a}, []string{"10.0.0.1"}, []State{StateFailing, StateGood}, Counters{Attempts: 3, Success: 2, NoRebuild: 1, Failure: 1, Empty: 1}},
		{"empty", "", []findings{a, nothing(KindEmpty), a}, []string{"10.0.0.1"}, []State{StateFailing, StateGood}, Counters{Attempts: 3, Success: 2, NoRebuild: 1, Failure: 1, Empty: 1}},
		{"SERVFAIL", "", []findings{a, nothing(KindServer), good("10.0.0.2")}, []string{"10.0.0.1", "10.0.0.2"}, []State{StateFailing, StateGood}, Counters{Attempts: 3, Success: 2, Failure: 1}},
		{"bad from the beginning", "", []findings{nothing(KindServer), a}, []string{"10.0.0.1"}, []State{StateFailing, StateGood}, Counters{Attempts: 2, Success: 1, Failure: 1}},
		{"one family of all", config.LookupAll, []findings{both, failed6(a), failed4(both), both}, []string{"10.0.0.1 fd00::1"}, []State{StatePartial, StateGood}, Counters{Attempts: 4, Success: 4, NoRebuild: 3, Partial: 2}},
		{"one family gone", config.LookupAll, []findings{both, a}, []string{"10.0.0.1 fd00::1", "10.0.0.1"}, nil, Counters{Attempts: 2, Success: 2}},
		{"one family that never was", config.LookupAll, []findings{failed6(a), failed6(a), a}, []string{"10.0.0.1"}, []State{StatePartial, StateGood}, Counters{Attempts: 3, Success: 3, NoRebuild: 2, Partial: 2}},
		{"the preferred family", config.LookupAuto, []findings{both, failed6(a), both}, []string{"fd00::1"}, []State{StatePartial, StateGood}, Counters{Attempts: 3, Success: 3, NoRebuild: 2, Partial: 1}},
		{"the other family was not asked", config.LookupAuto, []findings{a, unasked4(both), unasked4(both)}, []string{"10.0.0.1", "fd00::1"}, nil, Counters{Attempts: 3, Success: 3, NoRebuild: 1}},
		{"too many", config.LookupV4Only, []findings{good(many...), good(many...), a}, []string{strings.Join(strings.Fields(fmt.Sprint(sorted(many)[:maxAddrs])), " "), "10.0.0.1"}, []State{StateCapped, StateGood}, Counters{Attempts: 3, Success: 3, NoRebuild: 1, Capped: 2}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkKeep(t, c) })
		})
	}
}

func sorted(texts []string) []netip.Addr {
	list := addrs(texts...)
	slices.SortFunc(list, netip.Addr.Compare)
	return list
}

func checkKeep(t *testing.T, c keepCase) {
	s := &script{steps: c.steps}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := s.watch(t, config.DNS{RefreshRate: time.Second, LookupFamily: c.family}, cancel)
	w.Run(ctx)
	var got []string
	for _, a := range s.answers {
		got = append(got, strings.Trim(fmt.Sprint(a.Addrs), "[]"))
	}
	for i, want := range c.want {
		c.want[i] = strings.Trim(want, "[]")
	}
	if !slices.Equal(got, c.want) {
		t.Errorf("answers %.300q\nwant %.300q", got, c.want)
	}
	var states []State
	for _, r := range s.reports {
		states = append(states, r.State)
	}
	if !slices.Equal(states, c.states) {
		t.Errorf("reported %v, want %v", states, c.states)
	}
	c.counters.Attempts++ // the one that ended the run
	if w.Counters() != c.counters {
		t.Errorf("counters %+v\nwant     %+v", w.Counters(), c.counters)
	}
}

// After failures the pauses grow up to 30 s, and each is at least half of what
// it may be; a good answer begins anew.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := slices.Repeat([]findings{nothing(KindServer)}, 6)
		s := &script{steps: append(append(steps, good("10.0.0.1")), nothing(KindServer))}
		s.play(t, config.DNS{RefreshRate: 5 * time.Second}, 10*time.Minute)
		most := []time.Duration{5, 10, 20, 30, 30, 30, 10, 5, 10, 20, 30}
		for i, want := range most {
			pause, want := s.asked[i+1]-s.asked[i], want*time.Second
			if pause < want/2 || pause > want {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, want/2, want)
			}
		}
		if len(s.asked) > 50 {
			t.Errorf("asked %d times in 10 minutes", len(s.asked))
		}
	})
}

type backoffCase struct {
	name     string
	rate     time.Duration
	failures int
	most     time.Duration
}

func TestBackoffBounds(t *testing.T) {
	cases := []backoffCase{
		{"first", 5 * time.Second, 1, 5 * time.Second},
		{"forever", 5 * time.Second, 1 << 40, 30 * time.Second},
		{"quick rate", 100 * time.Millisecond, 1 << 40, time.Second},
		{"slow rate", time.Hour, 1 << 40, time.Hour},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for range 1000 {
				d := backoff(config.DNS{RefreshRate: c.rate}, c.failures)
				if d < c.most/2 || d > c.most {
					t.Fatalf("%v, want %v to %v", d, c.most/2, c.most)
				}
			}
		})
	}
}

// What waits for the first lookup finds its answer there; also one that waits
// for a lookup which found nothing, or which never came.
func TestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, step := range []findings{good("10.0.0.1"), nothing(KindServer)} {
			ctx, cancel := context.WithCancel(t.Context())
			s := &script{steps: []findings{step}}
			w := s.watch(t, config.DNS{}, nil)
			go w.Run(ctx)
			<-w.First()
			if want := len(step.v4.addrs); len(s.answers) != want {
				t.Errorf("%d answers, want %d", len(s.answers), want)
			}
			cancel()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := &script{steps: []findings{good("10.0.0.1")}}
		w := s.watch(t, config.DNS{}, nil)
		w.Run(ctx)
		<-w.First()
	})
}

// A cluster of type logical_dns connects to the first address.
func TestFollowFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []findings{good("10.0.0.1", "10.0.0.2"), good("10.0.0.2", "10.0.0.1"), good("10.0.0.2", "10.0.0.1")}}
		w := s.watch(t, config.DNS{}, nil)
		w.FollowFirst = true
		for range s.steps {
			w.lookUp(t.Context())
		}
		if len(s.answers) != 2 || s.answers[0].First.String() != "10.0.0.1" || s.answers[1].First.String() != "10.0.0.2" {
			t.Errorf("answers %v", s.answers)
		}
	})
}

// The first lookups of 5,000 names are spread over 2.5 seconds.
func TestFirstLookupsAreSpread(t *testing.T) {
	var p pacer
	now := time.Unix(1000, 0)
	var waits []time.Duration
	for range 5000 {
		waits = append(waits, p.reserve(now))
	}
	if waits[0] != 0 || waits[paceBurst-1] != 0 || waits[paceBurst] != paceStep || waits[4999] != (5000-paceBurst)*paceStep {
		t.Errorf("waits %v, %v, %v, %v", waits[0], waits[paceBurst-1], waits[paceBurst], waits[4999])
	}
	if wait := p.reserve(now.Add(time.Hour)); wait != 0 {
		t.Errorf("an hour later %v", wait)
	}
}

// When a server fails, all names change their state at once; the log gets a
// few lines and the number of the others.
func TestReportsAreNotAFlood(t *testing.T) {
	var a allowance
	now, taken := time.Unix(1000, 0), 0
	for range 5000 {
		if _, ok := a.take(now); ok {
			taken++
		}
	}
	if taken != reportBurst {
		t.Errorf("%d reports, want %d", taken, reportBurst)
	}
	suppressed, ok := a.take(now.Add(reportEvery))
	if !ok || suppressed != 5000-reportBurst {
		t.Errorf("later %v, %d suppressed, want %d", ok, suppressed, 5000-reportBurst)
	}
	if _, ok := a.take(now.Add(reportEvery)); ok {
		t.Error("two reports at once, later")
	}
}

type reportCase struct {
	name   string
	report Report
	want   string
}

func TestReportText(t *testing.T) {
	failure := &Failure{Name: "a.example", Kind: KindServer, Err: errors.New("A from 10.0.0.1:53: SERVFAIL")}
	cases := []reportCase{
		{"failing", Report{Name: "a.example", State: StateFailing, Addrs: 3, Err: failure}, "DNS: look up a.example: A from 10.0.0.1:53: SERVFAIL; 3 addresses are kept from before, and it is tried again"},
		{"good", Report{Name: "a.example", State: StateGood, Addrs: 3, Suppressed: 7}, "DNS: a.example is found again, with 3 addresses (7 such messages before this one were left out)"},
		{"capped", Report{Name: "a.example", State: StateCapped, Addrs: 5000, Left: 2}, "DNS: a.example has 2 addresses more than 5000; they are left out"},
		{"partial", Report{Name: "a.example", State: StatePartial, Addrs: 3, Err: failure}, "DNS: look up a.example: A from 10.0.0.1:53: SERVFAIL; the addresses of this family are kept from before, 3 in all"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.report.String(); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

// With a real server: an answer, its failure, another answer.
func TestWatchOfAServer(t *testing.T) {
	t.Parallel()
	s := serve(t, zone{"A a.example.": {"a.example. 0 IN A 10.0.0.1"}})
	r := newRig(t, []netip.AddrPort{s.addr})
	answers, reports := make(chan Answer), make(chan Report)
	w := NewWatch(r.Resolver, "a.example", config.DNS{RefreshRate: time.Millisecond, LookupFamily: config.LookupV4Only}, func(a Answer) { answers <- a })
	w.OnReport = func(r Report) { reports <- r }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); w.Run(ctx) }()
	if a := <-answers; a.First.String() != "10.0.0.1" {
		t.Errorf("%v", a)
	}
	<-w.First()
	s.set(zone{"ANY a.example.": {"SERVFAIL"}})
	if r := <-reports; r.State != StateFailing || r.Addrs != 1 {
		t.Errorf("%+v", r)
	}
	s.set(zone{"A a.example.": {"a.example. 0 IN A 10.0.0.2"}})
	if a := <-answers; a.First.String() != "10.0.0.2" {
		t.Errorf("%v", a)
	}
	if r := <-reports; r.State != StateGood {
		t.Errorf("%+v", r)
	}
	cancel()
	<-ended
	if c := w.Counters(); c.Failure == 0 || c.Success < 2 || c.Attempts < c.Failure+c.Success {
		t.Errorf("%+v", c)
	}
}

// A name that comes into the hosts file has the addresses there and no other
// ones; those that DNS gave for the other family go.
func TestHostsReplaceWhatWasKept(t *testing.T) {
	t.Parallel()
	s := serve(t, zone{"A a.example.": {"a.example. 60 IN A 10.0.0.1"}, "AAAA a.example.": {"a.example. 60 IN AAAA fd00::1"}})
	r := newRig(t, []netip.AddrPort{s.addr})
	var last Answer
	w := NewWatch(r.Resolver, "a.example.", config.DNS{LookupFamily: config.LookupAll}, func(a Answer) { last = a })
	w.lookUp(t.Context())
	if !slices.Equal(last.Addrs, addrs("10.0.0.1", "fd00::1")) {
		t.Errorf("from DNS %v", last.Addrs)
	}
	write(t, r.hosts, "10.0.0.2 a.example")
	w.lookUp(t.Context())
	if !slices.Equal(last.Addrs, addrs("10.0.0.2")) {
		t.Errorf("from the hosts file %v", last.Addrs)
	}
}
