package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/systemd"
)

// inSystemd is the value of --store that means systemd's descriptor store; others
// are sockets of sluice hold.
const inSystemd = "systemd"

// opener opens a store, as often as it is wanted; nil: there is none.
type opener func(context.Context) (handover.Store, error)

var errNoManager = errors.New("--store systemd: NOTIFY_SOCKET is not set; it takes a unit of Type=notify with FileDescriptorStoreMax=")

// newOpener makes what --store asks for. Of the descriptors that systemd has passed
// it takes what was stored, and returns the rest, which is the caller's.
func newOpener(store string, notify *systemd.Notifier, passed []systemd.Descriptor, log *zap.Logger) (opener, []systemd.Descriptor, error) {
	kept, rest := handover.NewSystemdStore(notify, passed)
	if store == inSystemd {
		if notify == nil {
			return nil, rest, errNoManager
		}
		return func(context.Context) (handover.Store, error) { return kept, nil }, rest, nil
	}
	if err := discard(kept); err != nil {
		log.Warn("systemd still has what an earlier daemon has stored", zap.Error(err))
	}
	if store == "" {
		return nil, rest, nil
	}
	return func(ctx context.Context) (handover.Store, error) { return handover.DialHolder(ctx, store) }, rest, nil
}

// discard resets what is in a store that is used no longer.
func discard(store handover.Store) error {
	entries, err := store.Take()
	if err != nil {
		return fmt.Errorf("taking what is stored: %w", err)
	}
	for i := range entries {
		entries[i].Discard()
		if err := store.Drop(entries[i].Name); err != nil {
			return err
		}
	}
	return nil
}
