variable "name" {
  description = "The start of every repository's name."
  type        = string
  default     = "hodoscope"
}
