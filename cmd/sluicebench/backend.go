package main

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/bench/backend"
)

func newBackendCommand(e *env) *cobra.Command {
	var listen string
	var loops int
	cmd := &cobra.Command{
		Use:   "backend",
		Short: "Answer loads: echo, sink and source on one port",
		Long: `Answers loads until SIGINT or SIGTERM. Each connection says in its first bytes
what it is for, so that one port serves all kinds of load.`,
		Example: "  sluicebench backend --listen 10.0.0.5:9000 --loops 2",
		Args:    arguments(0),
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "`address` to listen on; port 0: any free one")
	cmd.Flags().IntVar(&loops, "loops", 1, "threads that answer")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		addr, err := netip.ParseAddrPort(listen)
		if err != nil {
			return usageError{fmt.Errorf("--listen %q: want an address with its port, as 127.0.0.1:9000", listen)}
		}
		ownThreads(loops)
		server, err := backend.Serve(addr, loops)
		if err != nil {
			return err
		}
		defer server.Close()
		fmt.Fprintln(e.stdout, "listening on", server.Addr())
		<-cmd.Context().Done()
		return nil
	}
	return cmd
}
