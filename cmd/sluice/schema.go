package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config/native"
)

// newSchemaCommand makes sluice schema.
func newSchemaCommand(env *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration",
		Long: `Prints the JSON Schema (draft 2020-12) of the configuration, with a
description of each key and its default. Editors check and complete with it,
for example after a first line of

    # yaml-language-server: $schema=sluice.schema.json`,
		Example:       "  sluice schema > sluice.schema.json",
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(*cobra.Command, []string) error { return printSchema(env) },
	}
	cmd.SetFlagErrorFunc(usageError)
	return cmd
}

func printSchema(env *env) error {
	schema, err := native.Schema()
	if err != nil {
		return &exitError{code: exitFailure, err: err}
	}
	if _, err := env.stdout.Write(schema); err != nil {
		return &exitError{code: exitFailure, err: fmt.Errorf("writing the schema: %w", err)}
	}
	return nil
}
