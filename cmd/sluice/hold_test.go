package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/handover"
)

// TestHold serves a client until it is told to end.
func TestHold(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "hold")
	done := make(chan error, 1)
	go func() { done <- hold(context.Background(), socket, handover.HolderOptions{}) }()
	var store *handover.HolderStore
	for deadline := time.Now().Add(time.Minute); store == nil; {
		var err error
		if store, err = handover.DialHolder(context.Background(), socket); err != nil && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer store.Close()
	if entries, err := store.Take(); len(entries) > 0 || err != nil {
		t.Errorf("a new holder has %v, %v", entries, err)
	}
	if err := store.Quit(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHoldUsage(t *testing.T) {
	if err := hold(context.Background(), "/nowhere/hold", handover.HolderOptions{}); err == nil {
		t.Error("a directory that is not there gives no error")
	}
}
