"""From runs to figures, and from figures to words."""
