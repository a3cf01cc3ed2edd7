"""aveo3 inside other programs: one module for each, which needs that program. `import aveo3` imports none of them."""
