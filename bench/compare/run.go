package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/stage"
	"github.com/sluiceproxy/sluice/bench/subject"
)

// Options are what is compared, and how.
type Options struct {
	Scenarios []bench.Scenario
	Rounds    int
	Subjects  []string // by name; nil: all that are on this machine
	Workers   int      // of each subject
	Sluice    string   // the sluice to measure
	Self      string   // the sluicebench binary
	Command   string   // for the report: what gives such a one

	// Progress hears how much is done, from 0 to 1, and what is going on.
	Progress func(done float64, what string)
}

// comparison is one that is going on.
type comparison struct {
	Options
	report *bench.Report
	found  []*subject.Subject
	done   int // measures
	total  int
}

// Run makes the comparison. An error means that there is no report: what went
// wrong with one subject is in the report.
func Run(ctx context.Context, o Options) (*bench.Report, error) {
	found, leftOut, err := subject.Find(ctx, o.Sluice)
	if err != nil {
		return nil, err
	}
	if found, leftOut, err = asked(found, leftOut, o.Subjects); err != nil {
		return nil, err
	}
	machine, err := thisMachine()
	if err != nil {
		return nil, err
	}
	c := &comparison{Options: o, found: found, report: &bench.Report{
		Machine: machine, Started: time.Now(), Command: o.Command, Rounds: o.Rounds,
		LeftOut: leftOut, Scenarios: slices.Clone(o.Scenarios),
	}}
	for _, sub := range found {
		c.report.Subjects = append(c.report.Subjects, bench.Subject{Name: sub.Name, Version: sub.Version})
	}
	for i := range o.Scenarios {
		c.total += c.rounds(&o.Scenarios[i]) * len(found)
	}
	for _, mode := range bench.Modes() {
		if err := c.runMode(ctx, mode); err != nil {
			return nil, err
		}
	}
	c.report.Took = time.Since(c.report.Started)
	return c.report, nil
}

// asked keeps what is to be compared.
func asked(found []*subject.Subject, leftOut []bench.LeftOut, names []string) ([]*subject.Subject, []bench.LeftOut, error) {
	if names == nil {
		return found, leftOut, nil
	}
	for _, name := range names {
		if _, err := subject.Named(found, name); err != nil {
			return nil, nil, err
		}
	}
	found = slices.DeleteFunc(found, func(s *subject.Subject) bool { return !slices.Contains(names, s.Name) })
	leftOut = slices.DeleteFunc(leftOut, func(l bench.LeftOut) bool { return !slices.Contains(names, l.Subject) })
	return found, leftOut, nil
}

func (c *comparison) rounds(s *bench.Scenario) int {
	if s.Rounds > 0 {
		return s.Rounds
	}
	return c.Rounds
}

// runMode runs the scenarios of one mode, with all subjects alive side by side.
func (c *comparison) runMode(ctx context.Context, mode bench.Mode) error {
	var scenarios []*bench.Scenario
	for i := range c.report.Scenarios {
		if s := &c.report.Scenarios[i]; s.Mode == mode {
			scenarios = append(scenarios, s)
		}
	}
	if scenarios == nil {
		return nil
	}
	st, err := stage.New(mode, stage.Options{Sluice: c.Sluice, Self: c.Self, Workers: c.Workers})
	if err != nil {
		c.leaveOutAll(mode, err)
		return nil
	}
	players := c.enter(ctx, st, mode)
	for _, s := range scenarios {
		if err := c.runScenario(ctx, st, s, players); err != nil {
			return errors.Join(err, st.Close())
		}
	}
	return st.Close()
}

// enter starts the subjects that have the mode.
func (c *comparison) enter(ctx context.Context, st *stage.Stage, mode bench.Mode) []*player {
	var players []*player
	for _, sub := range c.found {
		if sub.Lacks(mode) != "" {
			continue // subject.Find has said so
		}
		p := &player{comparison: c, stage: st, subject: sub}
		if err := p.start(ctx, 0); err != nil {
			c.leaveOut(bench.LeftOut{Subject: sub.Name, Mode: mode, Why: err.Error()})
			continue
		}
		players = append(players, p)
		for i := range c.report.Subjects {
			if s := &c.report.Subjects[i]; s.Name == sub.Name && p.running.Config.Text != "" {
				s.Configs = append(s.Configs, p.running.Config)
			}
		}
	}
	return players
}

// runScenario measures all players in turn, round by round.
func (c *comparison) runScenario(ctx context.Context, st *stage.Stage, s *bench.Scenario, players []*player) error {
	if err := c.setRate(s); err != nil {
		for _, p := range players {
			c.leaveOut(bench.LeftOut{Subject: p.subject.Name, Mode: s.Mode, Scenario: s.Name, Why: err.Error()})
		}
		return nil
	}
	players = slices.DeleteFunc(slices.Clone(players), func(p *player) bool { return !takesPart(p.subject.Name, s) })
	rows := make([]bench.Row, len(players))
	for i, p := range players {
		rows[i] = bench.Row{Scenario: s.Name, Subject: p.subject.Name}
	}
	for number := 1; number <= c.rounds(s); number++ {
		for i, p := range players {
			c.progress(s, number, p)
			if rows[i].Void != "" {
				continue
			}
			round, err := p.measure(ctx, s)
			if ctx.Err() != nil {
				return fmt.Errorf("the comparison was stopped in %s: %w", s.Name, context.Cause(ctx))
			}
			round.Number = number
			if err != nil {
				rows[i].Void = fmt.Sprintf("round %d: %s", number, strings.ReplaceAll(err.Error(), "\n", "; "))
				continue
			}
			rows[i].Rounds = append(rows[i].Rounds, round)
			rows[i].Void = rows[i].WhyVoid()
		}
	}
	c.report.Rows = append(c.report.Rows, rows...)
	return nil
}

// takesPart leaves out who is there for other loads: HAProxySplice is for bulk.
func takesPart(subject string, s *bench.Scenario) bool {
	return subject != bench.HAProxySplice || s.Load.Kind == bench.Streams
}

// setRate computes the rate of a load that is a share of what the best peer
// reached in another scenario, or sluice where there is no peer.
func (c *comparison) setRate(s *bench.Scenario) error {
	if s.Of == "" {
		return nil
	}
	of := c.report.Scenario(s.Of)
	row := c.report.BestPeer(s.Of, of.Figure)
	if row == nil {
		row = c.report.Row(s.Of, bench.Sluice)
	}
	if why := row.WhyVoid(); why != "" {
		return fmt.Errorf("its rate is a share of a rate in %s, which no peer reached, nor sluice: %s", s.Of, why)
	}
	s.Load.Rate = s.Share * row.Spread(of.Figure).Median
	return nil
}

func (c *comparison) progress(s *bench.Scenario, round int, p *player) {
	if c.Progress != nil {
		c.Progress(float64(c.done)/float64(max(c.total, 1)), fmt.Sprintf("%s %d/%d %s", s.Name, round, c.rounds(s), p.subject.Name))
	}
	c.done++
}

func (c *comparison) leaveOut(l bench.LeftOut) { c.report.LeftOut = append(c.report.LeftOut, l) }

func (c *comparison) leaveOutAll(mode bench.Mode, err error) {
	for _, sub := range c.found {
		if sub.Lacks(mode) == "" {
			c.leaveOut(bench.LeftOut{Subject: sub.Name, Mode: mode, Why: err.Error()})
		}
	}
}
