# Rules of Terraform itself; the rule set for AWS cannot be had by name, it runs in .github/workflows/security.yml.
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Files are named by what they hold; a module of one page needs no more than the four of Terraform's habit.
rule "terraform_standard_module_structure" {
  enabled = true
}
