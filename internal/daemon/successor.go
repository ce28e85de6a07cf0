package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/handover"
)

const (
	// successorTime bounds the wait for a new process to say hello.
	successorTime = time.Minute

	// nameTime is how long the process before may keep its socket's name.
	nameTime = 5 * time.Second

	// retryTime keeps failing attempts from filling the log.
	retryTime = 100 * time.Millisecond
)

var (
	errNoSuccessor = errors.New("this daemon cannot start another process")
	errNotServing  = errors.New("the daemon drains, or does not serve yet")
	errUpgrading   = errors.New("an upgrade is going on")
	errFirst       = errors.New("this is process 1: its container ends with it. " +
		"Start the new process in a container beside it, both with --takeover")
)

// Upgrade is how one process takes over from another (docs/upgrade.md).
type Upgrade struct {
	From string // socket of the process to take over from; "" = none
	Must bool   // without it there is nothing to start
	At   string // socket at which the next process can take over; "" = none

	// Start starts the next process, for SIGUSR2; it takes over from the socket.
	// What it sends on ended is how the process has ended, nil for status 0. Nil:
	// no process can be started.
	Start func(from string) (ended <-chan error, err error)
}

// upgrades is what is known of them.
type upgrades struct {
	going  atomic.Bool
	failed atomic.Uint64
}

// sayHello is what this process tells another one of itself.
func (d *Daemon) sayHello() handover.Options {
	return handover.Options{Process: handover.Process{
		Version:       d.options.Version,
		Configuration: d.configurationHash(),
		Epoch:         d.epoch,
		Began:         d.began,
		LastID:        d.around.IDs.Load(),
		Unready:       d.unready.Load(),
	}}
}

// configurationHash tells configurations apart.
func (d *Daemon) configurationHash() string {
	now := d.snapshot.Load()
	if now.Dump == nil {
		return ""
	}
	text, err := json.Marshal(now.Dump())
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// upgrade starts the next process and hands everything over to it. When that fails,
// this one goes on.
func (d *Daemon) upgrade() {
	if !d.upgrades.going.CompareAndSwap(false, true) {
		d.upgradeFailed(errUpgrading)
		return
	}
	err := d.startAndHandOver()
	d.upgrades.going.Store(false) // who reads of the failure may try again at once
	if err != nil {
		d.upgradeFailed(err)
	}
}

func (d *Daemon) upgradeFailed(err error) {
	d.log.Error("upgrade: this process goes on", zap.Error(err))
	d.upgrades.failed.Add(1)
}

func (d *Daemon) startAndHandOver() error {
	switch {
	case d.options.Upgrade.Start == nil:
		return errNoSuccessor
	case d.state.Load() != live || d.drained.Load():
		return errNotServing
	case os.Getpid() == 1:
		return errFirst
	}
	socket := fmt.Sprintf("@sluice-upgrade-%d-%x", os.Getpid(), rand.Uint64())
	server, err := handover.Listen(socket)
	if err != nil {
		return err
	}
	defer server.Close()
	ended, err := d.options.Upgrade.Start(socket)
	if err != nil {
		return fmt.Errorf("starting the new process: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(d.reloads.ctx, successorTime, errors.New("the new process has not said hello in time"))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go func() {
		select {
		case err := <-ended:
			fail(fmt.Errorf("the new process has ended: %w", orEarly(err)))
		case <-ctx.Done():
		}
	}()
	giver, err := d.acceptStarted(ctx, server)
	if err != nil {
		return fmt.Errorf("waiting for the new process: %w", err)
	}
	return d.handOver(giver)
}

// acceptStarted waits for the process that was started. Others may find the socket
// too, and are turned away.
func (d *Daemon) acceptStarted(ctx context.Context, server *handover.Server) (*handover.Giver, error) {
	for {
		giver, err := server.Accept(ctx, d.sayHello)
		if err == nil {
			return giver, nil
		}
		if ctx.Err() != nil {
			return nil, errors.Join(context.Cause(ctx), err)
		}
		d.log.Warn("upgrade: not the new process", zap.Error(err))
		rest(ctx)
	}
}

// orEarly is an error also for a process that has ended well, but too early.
func orEarly(err error) error {
	if err == nil {
		return errors.New("with status 0, before it took over")
	}
	return err
}

// awaitSuccessor lets processes take over at the socket for that, until one has.
func (d *Daemon) awaitSuccessor(ctx context.Context) {
	server := d.listenForSuccessor(ctx)
	if server == nil {
		return
	}
	defer server.Close()
	d.log.Info("another process can take over", zap.String("socket", d.options.Upgrade.At))
	for {
		giver, err := server.Accept(ctx, d.sayHello)
		if err == nil {
			if err = d.handOver(giver); err == nil {
				return
			}
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		d.upgradeFailed(err)
		rest(ctx)
	}
}

// listenForSuccessor returns nil when no process is to take over. A name in the
// abstract namespace is still the process's before for a moment.
func (d *Daemon) listenForSuccessor(ctx context.Context) *handover.Server {
	at, began, told := d.options.Upgrade.At, time.Now(), false
	if at == "" {
		return nil
	}
	for ctx.Err() == nil {
		server, err := handover.Listen(at)
		if err == nil {
			return server
		}
		if !told && time.Since(began) > nameTime {
			told = true
			d.log.Error("no process can take over from this one for now; it tries again and again", zap.Error(err))
		}
		rest(ctx)
	}
	return nil
}

// rest waits before another attempt.
func rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(retryTime):
	}
}

// withdraw ends this process because the one before it goes on, as soon as what it
// has taken has ended.
func (d *Daemon) withdraw() {
	d.state.Store(draining)
	for _, s := range d.servers {
		s.Share()
	}
	d.keeping.pause() // what it has of listening sockets is the other one's
	d.left <- noLimit
}
