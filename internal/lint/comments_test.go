package lint

import (
	"go/ast"
	"go/token"
	"testing"
)

func TestDocComments(t *testing.T) { obey(t, undocumented) }

// TestPackageComments wants each package to say what it is for.
func TestPackageComments(t *testing.T) {
	documented := make(map[string]bool)
	for _, s := range sources(t) {
		if !s.isTest() {
			documented[s.dir()] = documented[s.dir()] || s.file.Doc != nil
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment: say what it is for and how it is used", dir)
		}
	}
}

// undocumented finds exported identifiers without a doc comment. A comment on
// a group of constants, variables or types serves all of it.
func undocumented(s *source) []string {
	if s.isTest() {
		return nil
	}
	var wrong []string
	missing := func(id *ast.Ident, docs ...*ast.CommentGroup) {
		for _, doc := range docs {
			if doc != nil {
				return
			}
		}
		if id.IsExported() {
			wrong = append(wrong, s.problem(id, "%s is exported and has no doc comment", id.Name))
		}
	}
	for _, decl := range s.file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil || ast.IsExported(receiver(decl)) {
				missing(decl.Name, decl.Doc)
			}
		case *ast.GenDecl:
			if decl.Tok == token.IMPORT {
				continue
			}
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					missing(spec.Name, decl.Doc, spec.Doc, spec.Comment)
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						missing(id, decl.Doc, spec.Doc, spec.Comment)
					}
				}
			}
		}
	}
	return wrong
}

// receiver is the name of a method's type.
func receiver(fn *ast.FuncDecl) string {
	x := fn.Recv.List[0].Type
	for {
		switch t := x.(type) {
		case *ast.StarExpr:
			x = t.X
		case *ast.IndexExpr:
			x = t.X
		case *ast.IndexListExpr:
			x = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}

func TestDocCommentsRule(t *testing.T) {
	checkRule(t, undocumented, []ruleCase{
		{"function", "p/a.go", "package p\nfunc F() {}", "p/a.go:2: F is exported"},
		{"documented", "p/a.go", "package p\n// F does.\nfunc F() {}", ""},
		{"method", "p/a.go", "package p\nfunc (t *T[K]) F() {}", "F is exported"},
		{"method of a hidden type", "p/a.go", "package p\nfunc (t *t) F() {}", ""},
		{"type", "p/a.go", "package p\ntype T int", "T is exported"},
		{"constant", "p/a.go", "package p\nconst (\n\ta = 1\n\tB = 2\n)", "p/a.go:4: B is exported"},
		{"constants with one comment", "p/a.go", "package p\n// Both.\nconst (\n\tA = 1\n\tB = 2\n)", ""},
		{"comment behind", "p/a.go", "package p\nvar A = 1 // the first", ""},
	})
}
