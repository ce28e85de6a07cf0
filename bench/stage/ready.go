package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

// readyTimeout bounds how long a subject may take to start: Envoy on a busy
// machine takes seconds.
const readyTimeout = 30 * time.Second

// dialTimeout bounds one attempt to connect. It is short because TPROXY drops a
// SYN as long as nobody listens, and the kernel sends the next one only after a
// second.
const dialTimeout = 200 * time.Millisecond

// pollInterval is the pause between two looks at a condition.
const pollInterval = 10 * time.Millisecond

// waitReady waits until the subject accepts a connection, and then has one
// request made through it: that something listens says little of captured
// modes, and nothing of the backend.
func (r *Running) waitReady(ctx context.Context) error {
	err := wait(ctx, "a connection to "+r.target.String(), func() error {
		if err := r.Alive(); err != nil {
			return err
		}
		conn, err := r.place.client.dial(r.place.cast, r.target, dialTimeout)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return err
	}
	if err := r.request(ctx); err != nil {
		return errors.Join(fmt.Errorf("a request to %s: %w", r.target, err), r.Alive())
	}
	return nil
}

// request makes one request as a load does.
func (r *Running) request(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	plan, err := json.Marshal(bench.Load{
		Kind: bench.Requests, Protocol: bench.Own, Connections: 1, Size: 64,
		Most: 1, Duration: readyTimeout / 2,
	})
	if err != nil {
		return err
	}
	cmd := r.LoadCommand(ctx, "--plan", "-", "--json")
	var stderr tail
	cmd.Stdin, cmd.Stderr = bytes.NewReader(plan), &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, &stderr)
	}
	var measure bench.Measure
	if err := json.Unmarshal(out, &measure); err != nil {
		return fmt.Errorf("read the measure: %w", err)
	}
	if measure.Answers == 0 || len(measure.Errors) > 0 {
		return fmt.Errorf("%d answers, errors: %v", measure.Answers, measure.Errors)
	}
	return nil
}

// wait calls check until it returns nil, a program has ended, or the time is
// over.
func wait(ctx context.Context, what string, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		if ended := new(endedError); errors.As(err, &ended) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, ctx.Err(), err)
		case <-time.After(pollInterval):
		}
	}
}
