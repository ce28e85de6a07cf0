package stage

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/subject"
)

// Running is a subject at work, with its backend.
type Running struct {
	Subject *subject.Subject
	Config  bench.Config // what it runs with, for the report

	stage   *Stage
	dir     string
	place   *place
	plan    subject.Plan
	backend *process
	proxy   *process // nil: bench.Direct
	target  netip.AddrPort

	stop   sync.Once
	failed error // of Stop
}

// start brings everything up, in the order in which it depends on each other.
func (r *Running) start(ctx context.Context, series int) error {
	var err error
	if r.place, err = newPlace(r.stage.mode); err != nil {
		return err
	}
	if err := r.startBackend(ctx); err != nil {
		return err
	}
	if r.Subject.Name != bench.Direct {
		if err := r.place.capture(r.stage.options.Sluice); err != nil {
			return err
		}
		if err := r.startProxy(series); err != nil {
			return err
		}
	}
	return r.waitReady(ctx)
}

// startBackend starts the backend and learns its address.
func (r *Running) startBackend(ctx context.Context) error {
	args := []string{"backend", "--listen", r.place.backendAddr().String(), "--loops", strconv.Itoa(r.stage.options.Loops)}
	var err error
	if r.backend, err = start("the backend", r.place.backend.command(r.stage.options.Self, args...)); err != nil {
		return err
	}
	const greeting = "listening on "
	err = wait(ctx, "the backend's address", func() error {
		_, rest, _ := strings.Cut(r.backend.log.String(), greeting)
		addr, _, ended := strings.Cut(rest, "\n")
		if !ended {
			return errors.Join(r.backend.alive(), fmt.Errorf("it has not written %q", greeting))
		}
		r.target, err = netip.ParseAddrPort(addr)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w; its log: %s", err, r.backend.log)
	}
	return nil
}

// startProxy writes the subject's configuration and starts it. In explicit
// mode the load goes to its port from now on.
func (r *Running) startProxy(series int) error {
	var err error
	if r.plan, err = r.newPlan(series); err != nil {
		return err
	}
	program, err := r.stage.reachable(r.Subject.Program)
	if err != nil {
		return err
	}
	there := *r.Subject
	there.Program = program
	if r.Config, err = there.Config(r.plan); err != nil {
		return err
	}
	file := filepath.Join(r.dir, r.Config.File)
	if err := os.WriteFile(file, []byte(r.Config.Text), 0o644); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if r.stage.mode == bench.Explicit {
		r.target = r.plan.Listen
	}
	r.proxy, err = start(r.Subject.Name, r.place.proxy.command(r.Config.Command[0], r.Config.Command[1:]...))
	return err
}

// newPlan is what the subject is configured for.
func (r *Running) newPlan(series int) (subject.Plan, error) {
	p := subject.Plan{
		Mode: r.stage.mode, Workers: r.stage.options.Workers, Connections: r.stage.options.Connections,
		Backend: r.target, Series: series, Dir: r.dir,
		Admin:   netip.AddrPortFrom(loopback(), 15000),
		Metrics: netip.AddrPortFrom(loopback(), 15090),
	}
	switch r.stage.mode {
	case bench.Redirect:
		p.Listen = netip.AddrPortFrom(netip.IPv4Unspecified(), subject.OutboundPort)
	case bench.TProxy:
		p.Listen = netip.AddrPortFrom(netip.IPv4Unspecified(), subject.InboundPort)
	default:
		free, err := r.stage.freePorts(3)
		if err != nil {
			return p, err
		}
		p.Listen, p.Admin, p.Metrics = free[0], free[1], free[2]
	}
	return p, nil
}

// PID is the process id of the subject; workers are its children. It is 0 for
// bench.Direct.
func (r *Running) PID() int {
	if r.proxy == nil {
		return 0
	}
	return r.proxy.pid()
}

// Target is the address that a load is to be made on.
func (r *Running) Target() netip.AddrPort { return r.target }

// LoadCommand prepares `sluicebench load TARGET args...` where the client is.
// The caller starts it and waits for it; the end of ctx kills it.
func (r *Running) LoadCommand(ctx context.Context, args ...string) *exec.Cmd {
	plain := r.place.client.command(r.stage.options.Self, append([]string{"load", r.target.String()}, args...)...)
	return exec.CommandContext(ctx, plain.Path, plain.Args[1:]...)
}

// Alive is nil while subject and backend run. Its error has the exit status and
// the end of the log of the one that does not.
func (r *Running) Alive() error {
	err := r.backend.alive()
	if r.proxy != nil {
		err = errors.Join(err, r.proxy.alive())
	}
	return err
}

// Stop ends subject and backend and removes where they were. The error tells of
// what had ended by itself before, or did not end when asked to. A second call
// does nothing and returns the same.
func (r *Running) Stop() error {
	r.stop.Do(func() {
		var errs []error
		for _, p := range []*process{r.proxy, r.backend} {
			if p != nil {
				errs = append(errs, p.stop())
			}
		}
		if r.place != nil {
			errs = append(errs, r.place.close())
		}
		if r.plan.Listen.IsValid() {
			r.stage.givePorts(r.plan.Listen, r.plan.Admin, r.plan.Metrics)
		}
		r.failed = errors.Join(append(errs, os.RemoveAll(r.dir))...)
	})
	return r.failed
}
