package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/stage"
	"github.com/sluiceproxy/sluice/bench/subject"
)

// player is a subject in one mode.
type player struct {
	comparison *comparison
	stage      *stage.Stage
	subject    *subject.Subject
	running    *stage.Running // nil: could not be started again
	series     int
}

func (p *player) start(ctx context.Context, series int) error {
	running, err := p.stage.Start(ctx, p.subject, series)
	if err != nil {
		return err
	}
	p.running, p.series = running, series
	return nil
}

// restart starts the subject anew.
func (p *player) restart(ctx context.Context, series int) error {
	if p.running != nil {
		p.running.Stop() // whether it had died does not matter any more
		p.running = nil
	}
	return p.start(ctx, series)
}

// prepare sees to it that the subject is there as the scenario wants it.
func (p *player) prepare(ctx context.Context, s *bench.Scenario) error {
	series := 0
	if p.subject.Name == bench.Sluice {
		series = s.Series
	}
	if s.Fresh || p.running == nil || p.series != series || p.running.Alive() != nil {
		return p.restart(ctx, series)
	}
	return nil
}

// measure has the scenario's load made once.
func (p *player) measure(ctx context.Context, s *bench.Scenario) (bench.Round, error) {
	if err := p.prepare(ctx, s); err != nil {
		return bench.Round{}, err
	}
	plan, err := json.Marshal(s.Load)
	if err != nil {
		return bench.Round{}, err
	}
	args := []string{"--json", "--plan", "-"}
	if pid := p.running.PID(); pid > 0 {
		args = append(args, "--watch", strconv.Itoa(pid))
	}
	cmd := p.running.LoadCommand(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(plan), &out, &errs
	stop := p.scrape(ctx, s.Scrape)
	err = cmd.Run()
	scrapeErr := stop()
	if err != nil {
		return bench.Round{}, fmt.Errorf("the load: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	round := bench.Round{}
	if err := json.NewDecoder(io.LimitReader(&out, 64<<20)).Decode(&round.Measure); err != nil {
		return bench.Round{}, fmt.Errorf("the load's measure: %w", err)
	}
	if err := p.running.Alive(); err != nil {
		return round, err
	}
	if scrapeErr != nil {
		return round, scrapeErr
	}
	return round, p.readPauses(ctx, &round)
}

// scrape reads sluice's metrics again and again until stop, which tells how
// that went.
func (p *player) scrape(ctx context.Context, every time.Duration) (stop func() error) {
	if every == 0 || p.subject.Name != bench.Sluice {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	var err error
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for err == nil {
			if _, err = p.running.Scrape(ctx); ctx.Err() != nil {
				err = nil
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
	return func() error {
		cancel()
		wg.Wait()
		return err
	}
}

// readPauses asks sluice for the longest pause of its garbage collector: the
// quantile 1 of the Go collector, over the last 256 pauses.
func (p *player) readPauses(ctx context.Context, round *bench.Round) error {
	if p.subject.Name != bench.Sluice {
		return nil
	}
	page, err := p.running.Scrape(ctx)
	if err != nil {
		return err
	}
	const name = `go_gc_duration_seconds{quantile="1"} `
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return fmt.Errorf("reading sluice's metric %s: %w", name, err)
			}
			round.GCPause = time.Duration(seconds * 1e9)
			return nil
		}
	}
	return fmt.Errorf("sluice's metrics have no %s", name)
}
