package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/load"
	"github.com/sluiceproxy/sluice/bench/report"
)

func newLoadCommand(e *env) *cobra.Command {
	flags := &loadFlags{}
	cmd := &cobra.Command{
		Use:   "load ADDRESS",
		Short: "Make one load on an address and measure it",
		Long: `Makes one load on an address behind which, at the end, ` + "`sluicebench backend`" + ` answers
(or a web server or Redis, see --protocol), and prints what was measured.`,
		Example: `  sluicebench load 127.0.0.1:15001 --kind requests -c 64 --size 128 --duration 5s
  sluicebench load 127.0.0.1:15001 --rate 20000 --watch $(pidof sluice)
  sluicebench load 127.0.0.1:80 --protocol http
  sluicebench load 127.0.0.1:15001 --kind connections --ending rst --json`,
		Args: arguments(1),
	}
	flags.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := netip.ParseAddrPort(args[0])
		if err != nil {
			return usageError{fmt.Errorf("%q: want an address with its port, as 127.0.0.1:9000", args[0])}
		}
		plan, err := flags.plan(e.stdin)
		if err != nil {
			return usageError{err}
		}
		ownThreads(plan.Loops)
		bar := newBar(e.stderr, flags.json)
		measure, err := load.Run(cmd.Context(), target, plan, load.Options{Watch: flags.watch, Progress: func(done float64) {
			bar.set(done, string(plan.Kind))
		}})
		bar.clear()
		if err != nil {
			return err
		}
		if flags.json {
			return json.NewEncoder(e.stdout).Encode(measure)
		}
		if err := report.Measure(e.stdout, measure); err != nil {
			return err
		}
		if len(measure.Errors) > 0 {
			return errors.New("there were errors: the figures do not count")
		}
		return nil
	}
	return cmd
}

// loadFlags are the flags of load.
type loadFlags struct {
	bench.Load
	kind, protocol, direction, ending string
	planFile                          string
	watch                             []int
	json                              bool
}

func (f *loadFlags) register(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.kind, "kind", string(bench.Requests), "`kind` of load: requests, connections, streams, idle")
	set.StringVar(&f.protocol, "protocol", string(bench.Own), "what the backend speaks: own, http, redis")
	set.IntVarP(&f.Connections, "connections", "c", 64, "connections at a time")
	set.IntVar(&f.Size, "size", 128, "`bytes` of a request and of its response, or of one write of a stream")
	set.Float64Var(&f.Rate, "rate", 0, "requests or connections a second, due by the clock whether or not answers come;\n0: the next one follows the answer")
	set.StringVar(&f.direction, "direction", string(bench.Down), "where streams go: up, down, both")
	set.StringVar(&f.ending, "ending", string(bench.FIN), "how the client closes a connection: fin, rst")
	set.IntVar(&f.Beside.Idle, "idle", 0, "idle connections that exist meanwhile")
	set.IntVar(&f.Beside.Streams, "streams", 0, "streams of 1 MiB/s that run meanwhile")
	set.IntVar(&f.Beside.SlowReaders, "slow-readers", 0, "clients that meanwhile read 4 KiB every 100 ms of an endless stream")
	set.DurationVar(&f.Warmup, "warmup", time.Second, "load before the measured part")
	set.DurationVar(&f.Duration, "duration", 5*time.Second, "the measured part")
	set.Uint64Var(&f.Most, "most", 0, "requests or connections after which to end early; 0: no bound")
	set.IntVar(&f.Loops, "loops", 1, "threads that make the load")
	set.IntSliceVar(&f.watch, "watch", nil, "`pid` of a proxy whose CPU and memory are measured, its children included; may be repeated")
	set.StringVar(&f.planFile, "plan", "", "- : read the load as JSON (a report has them) from standard input instead of flags")
	set.BoolVar(&f.json, "json", false, "print the measure as JSON")
}

func (f *loadFlags) plan(stdin io.Reader) (bench.Load, error) {
	plan := f.Load
	plan.Kind, plan.Protocol = bench.Kind(f.kind), bench.Protocol(f.protocol)
	plan.Direction, plan.Ending = bench.Direction(f.direction), bench.Ending(f.ending)
	switch f.planFile {
	case "":
	case "-":
		plan = bench.Load{}
		decoder := json.NewDecoder(stdin)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&plan); err != nil {
			return plan, fmt.Errorf("the load on standard input: %w", err)
		}
	default:
		return plan, fmt.Errorf("--plan %q: want - for standard input", f.planFile)
	}
	if err := plan.Validate(); err != nil {
		return plan, fmt.Errorf("this load cannot be made: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return plan, nil
}
