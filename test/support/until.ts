/** Looks until something is so; a test that it never is ends by its own limit. */
export async function until(is: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await is())) await new Promise((wake) => setTimeout(wake, 5));
}
