package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/config/native"
	"github.com/sluiceproxy/sluice/configs"
	"github.com/sluiceproxy/sluice/internal/daemon"
	"github.com/sluiceproxy/sluice/internal/systemd"
)

// embedded is what messages call the configuration inside the binary.
const embedded = "(embedded sidecar.yaml)"

func newRunCommand(env *env) *cobra.Command {
	var file string
	var takeover string
	var watched bool
	var store string
	cmd := &cobra.Command{
		Use:   "run [-c FILE]",
		Short: "Run the daemon",
		Long: `Runs the daemon until SIGTERM or SIGINT, which drain; a second one ends it at once.
SIGHUP reloads the configuration, SIGUSR1 reopens log files, SIGUSR2 upgrades in place:
it starts the program anew and hands listening sockets and live connections over to it.
Without -c it runs the embedded sidecar: 15001 outbound and 15006 inbound, both
passing through to where each connection wanted to go.`,
		Example: "  sluice run\n  sluice run -c /etc/sluice/sluice.yaml --log-level debug",
		Args:    noArguments,
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file (environment: SLUICE_CONFIG)")
	cmd.Flags().BoolVar(&watched, "watch", false, "reload whenever the configuration file changes (environment: SLUICE_WATCH=true)")
	cmd.Flags().StringVar(&takeover, "takeover", "", "unix socket, a path or @NAME: take over from the daemon there, if there is one, and let the next one do the same (environment: SLUICE_TAKEOVER)")
	cmd.Flags().StringVar(&store, "store", "", "keep sockets over a crash: systemd, or the socket of sluice hold (environment: SLUICE_STORE)")
	overrides := native.Overrides()
	for _, o := range overrides {
		cmd.Flags().StringP(o.Flag, o.Shorthand, "", fmt.Sprintf("%s (environment: %s)", o.Doc, o.Env))
	}
	cmd.SetFlagErrorFunc(usageError)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		options := native.Options{Environ: env.environ(), Flags: map[string]string{}, Prepare: daemon.CheckAccessLogs}
		for _, o := range overrides {
			if flag := cmd.Flags().Lookup(o.Flag); flag.Changed {
				options.Flags[o.Flag] = flag.Value.String()
			}
		}
		if file == "" {
			file = env.getenv("SLUICE_CONFIG")
		}
		if !cmd.Flags().Changed("watch") {
			watched = env.getenv("SLUICE_WATCH") == "true"
		}
		if takeover == "" {
			takeover = env.getenv("SLUICE_TAKEOVER")
		}
		if store == "" {
			store = env.getenv("SLUICE_STORE")
		}
		return run(invocation{file, options, watchOf(file, watched), takeover, store}, env)
	}
	return cmd
}

// watchOf is the file to watch, if one is wanted and there is one.
func watchOf(file string, wanted bool) string {
	if !wanted {
		return ""
	}
	return file
}

// invocation is what the command line and the environment ask for.
type invocation struct {
	file     string
	options  native.Options
	watched  string // file whose changes are reloaded; "" = none
	takeover string // socket; "" = none
	store    string // see newOpener
}

func run(i invocation, env *env) error {
	source := i.file
	loaded, err := load(i.file, i.options)
	if err != nil {
		return refused(err, env)
	}
	if source == "" {
		source = embedded
	}
	level := zap.NewAtomicLevel()
	out := newLogWriter(env.stderr)
	defer out.Close()
	log := newLog(loaded.Config.Log, level, out)
	useResources(env, os.DirFS("/"), loaded.Config, log)

	// A peer that is gone is told by EPIPE; the signal for it would only cost.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)

	notify, watchdog := serviceManager(env, log)
	defer notify.Close()
	passed, err := systemd.Descriptors(env.getenv, os.Getpid())
	if err != nil {
		log.Warn("what the service manager has passed is left alone", zap.Error(err))
	}
	open, rest, err := newOpener(i.store, notify, passed, log)
	if err != nil {
		return err
	}
	d, err := daemon.New(daemon.Options{
		Loaded: *daemonLoaded(loaded),
		Load: func() (*daemon.Loaded, error) {
			loaded, err := load(i.file, i.options)
			if err != nil {
				return nil, err
			}
			return daemonLoaded(loaded), nil
		},
		Source:  source,
		Watch:   i.watched,
		Store:   open,
		Log:     log,
		Level:   level,
		Version: version(),

		Notify:   notify,
		Watchdog: watchdog,

		Upgrade:   upgradeOf(i.takeover, env),
		Inherited: activated(rest),
	})
	if err != nil {
		return refused(err, env)
	}
	// Reading a large configuration takes many times the memory that is needed
	// afterwards, which the runtime would give back in minutes.
	debug.FreeOSMemory()
	return d.Run(signals)
}

// serviceManager is systemd, where it has started the daemon. What it has passed
// badly is no reason not to serve.
func serviceManager(env *env, log *zap.Logger) (*systemd.Notifier, time.Duration) {
	notify, err := systemd.New(env.getenv("NOTIFY_SOCKET"))
	if err != nil {
		log.Warn("the service manager cannot be told", zap.Error(err))
	}
	watchdog, err := systemd.WatchdogInterval(env.getenv, os.Getpid())
	if err != nil {
		log.Warn("the service manager's watchdog is left alone", zap.Error(err))
	}
	return notify, watchdog
}

// refused prints the problems of a configuration as sluice validate does.
func refused(err error, env *env) error {
	var wrong *native.Error
	if errors.As(err, &wrong) {
		fmt.Fprintln(env.stderr, wrong)
		return &exitError{code: exitFailure}
	}
	return err
}

func daemonLoaded(loaded *native.Loaded) *daemon.Loaded {
	return &daemon.Loaded{
		Config:  loaded.Config,
		Dump:    func() any { return native.ToMap(loaded.Config) },
		Explain: loaded.Explain,
	}
}

func load(file string, options native.Options) (*native.Loaded, error) {
	if file == "" {
		return native.Parse(embedded, configs.Sidecar(), options)
	}
	return native.Load(file, options)
}
