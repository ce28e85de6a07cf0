package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	// waitPoll is how often wait asks.
	waitPoll = 50 * time.Millisecond

	// waitAnswer is how long it waits for one answer: a daemon that is being
	// replaced may take the question with it.
	waitAnswer = 2 * time.Second
)

// newWaitCommand makes sluice wait: a container whose application must not
// start before its sidecar runs it first (istio/istio#11130).
func newWaitCommand(env *env) *cobra.Command {
	var timeout time.Duration
	var url string
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until the local daemon is ready",
		Long: `Returns 0 as soon as the daemon on this host is ready, and 1 when it is not ready
within the timeout.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			return waitReady(ctx, url)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait")
	cmd.Flags().StringVar(&url, "url", "http://127.0.0.1:15021/healthz/ready", "what to ask: the readiness address of the configuration")
	cmd.SetFlagErrorFunc(usageError)
	return cmd
}

func waitReady(ctx context.Context, url string) error {
	// The daemon is asked directly, whatever proxy the environment names.
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	ticker := time.NewTicker(waitPoll)
	defer ticker.Stop()
	for last := "it was not asked yet"; ; {
		err := askReady(ctx, client, url)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the daemon did not get ready in time; last answer: %s", last)
		case <-ticker.C:
		}
	}
}

func askReady(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, waitAnswer)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	reason, _ := io.ReadAll(io.LimitReader(response.Body, 200))
	return fmt.Errorf("%s says %s: %s", url, response.Status, strings.TrimSpace(string(reason)))
}
