package handover

import "time"

// Options are what a side says of itself, and how long it waits for the other.
type Options struct {
	Process

	Step  time.Duration // for the other side's next message; 0 = 10s
	Ready time.Duration // for the new process to build and bind; 0 = 1m
}

const (
	defaultStep  = 10 * time.Second
	defaultReady = time.Minute
)

func (o Options) step() time.Duration {
	if o.Step == 0 {
		return defaultStep
	}
	return o.Step
}

func (o Options) ready() time.Duration {
	if o.Ready == 0 {
		return defaultReady
	}
	return o.Ready
}

// Process is what a side says of itself.
type Process struct {
	Version       string    // of sluice
	Configuration string    // hash of the configuration
	Epoch         uint64    // how many processes there were before it
	Began         time.Time // the first of them, or this one
	LastID        uint64    // that it has given to a connection
	Unready       bool      // it was told to say that it is not ready
}
