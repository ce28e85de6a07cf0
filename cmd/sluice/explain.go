package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/config/native"
	"github.com/sluiceproxy/sluice/listener/explain"
)

func newExplainCommand(env *env) *cobra.Command {
	var flags explainFlags
	cmd := &cobra.Command{
		Use:   "explain -c FILE (--listener NAME --dst IP:PORT --src IP:PORT | --cluster NAME)",
		Short: "Tell where a connection would go, and why",
		Long: `Tells where a connection would go, and why: listener, listener filters, filter
chain, rbac, cluster and endpoints. It asks the code of the daemon, and opens no
socket.

What the client's first bytes tell comes from --payload-hex, or is said with
--transport, --sni and --alpn. Given both, the payload is read for what the flags
do not say, such as a PROXY header. With neither, where a chain asks for it, the
answer says so (inspection need_more) and goes on for a client that stays silent.

With --cluster it tells how the load of one cluster is shared among priorities,
localities and endpoints, also if some endpoints are down.

The exit status is 0 when there is an answer, forward or close; 1 when the
configuration is wrong; 2 for wrong usage. docs/explain.md has examples.`,
		Example: `  sluice explain -c sluice.yaml --listener virtualInbound --src 10.4.9.9:40000 --dst 10.4.0.5:9080
  sluice explain -c sluice.yaml --listener tls --src 10.4.9.9:40000 --dst 10.4.0.5:8443 --sni reviews.example -o json
  sluice explain -c sluice.yaml --cluster 'outbound|9080||ratings' --assume-unhealthy 10.4.1.12:9080`,
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := flags.explain(env)
			var wrong *usage
			if errors.As(err, &wrong) {
				return usageError(cmd, wrong)
			}
			return err
		},
	}
	cmd.SetFlagErrorFunc(usageError)
	flags.add(cmd.Flags())
	return cmd
}

// outputs are the values of --output.
func outputs() []string { return []string{"text", "json"} }

func (f *explainFlags) explain(env *env) error {
	if !slices.Contains(outputs(), f.output) {
		return wrongFlag("output", fmt.Errorf("must be text or json, not %q", f.output))
	}
	answer, err := f.answer(env)
	var wrong *explain.QuestionError
	if errors.As(err, &wrong) {
		return wrongFlag(wrong.Part, err)
	}
	if err != nil {
		return err
	}
	return write(env.stdout, answer, f.output)
}

// answer asks what the flags ask.
func (f *explainFlags) answer(env *env) (answer, error) {
	if f.cluster != "" {
		return f.clusterAnswer(env)
	}
	if len(f.unhealthy) > 0 {
		return nil, wrongFlag("assume-unhealthy", errors.New("goes with --cluster"))
	}
	question, err := f.question()
	if err != nil {
		return nil, err
	}
	cfg, err := f.load(env)
	if err != nil {
		return nil, err
	}
	tables, err := explain.NewTables(cfg)
	if err != nil {
		return nil, err
	}
	return tables.Explain(question)
}

func (f *explainFlags) clusterAnswer(env *env) (answer, error) {
	if f.listener != "" {
		return nil, wrongFlag("cluster", errors.New("does not go with --listener: ask for one of them"))
	}
	cfg, err := f.load(env)
	if err != nil {
		return nil, err
	}
	return explain.Cluster(cfg, f.cluster, f.unhealthy)
}

// answer is what both kinds of answers can.
type answer interface{ Text() string }

// load reads the configuration as run would.
func (f *explainFlags) load(env *env) (*config.Config, error) {
	file := f.config
	if file == "" {
		file = env.getenv("SLUICE_CONFIG")
	}
	if file == "" {
		return nil, wrongFlag("config", errors.New("which configuration? Give its file, or set SLUICE_CONFIG"))
	}
	loaded, err := native.Load(file, native.Options{Environ: env.environ(), Prepare: env.prepare})
	if err != nil {
		fmt.Fprintln(env.stderr, err)
		return nil, &exitError{code: exitFailure}
	}
	return loaded.Config, nil
}

func write(to io.Writer, answer answer, output string) error {
	if output == "text" {
		_, err := io.WriteString(to, answer.Text())
		return err
	}
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}
