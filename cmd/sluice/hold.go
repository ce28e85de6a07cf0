package main

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/internal/handover"
)

// newHoldCommand makes sluice hold: what systemd's descriptor store is, where there
// is no systemd.
func newHoldCommand() *cobra.Command {
	var socket string
	var options handover.HolderOptions
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Keep the sockets of a daemon, so that they survive its crash",
		Long: `Keeps duplicates of the sockets that a daemon gives it over a unix socket, and hands
them to the next daemon that asks, so that live connections survive a crash or kill -9:
"sluice run --store SOCKET". It relays nothing and reads nothing. Ends by SIGTERM or
SIGINT. Systemd's own descriptor store is as good: "sluice run --store systemd".`,
		Example: "  sluice hold --socket /run/sluice/hold.sock &\n  sluice run --store /run/sluice/hold.sock",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return hold(ctx, socket, options)
		},
	}
	cmd.Flags().StringVar(&socket, "socket", "/run/sluice/hold.sock", "path of the unix socket, or @NAME")
	cmd.Flags().IntVar(&options.MaxEntries, "max-entries", 1<<16, "connections and listening sockets to keep")
	cmd.Flags().DurationVar(&options.Orphaned, "orphaned-after", time.Minute, "reset everything when no daemon was there for that long")
	cmd.SetFlagErrorFunc(usageError)
	return cmd
}

func hold(ctx context.Context, socket string, options handover.HolderOptions) error {
	holder, err := handover.NewHolder(socket, options)
	if err != nil {
		return err
	}
	holder.Serve(ctx)
	return nil
}
